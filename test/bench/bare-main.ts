// The measure of the shim's ratios: an HTTP server for each body, which answers anything with it and
// does nothing else: node bare-main.ts HOST PORT:FILE...
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [host, ...served] = process.argv.slice(2);
for (const each of served) {
  const [port, ...file] = each.split(":");
  const body = readFileSync(file.join(":"));
  createServer((_req, res) => {
    res.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
    res.end(body);
  }).listen(Number(port), host);
}
