// The measure of the shim's ratios: an HTTP server for each body, which answers anything with it and
// does nothing else: node bare-main.ts HOST PORT:FILE...
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { keepTicksQuick } from "../../lib/keep-ticks-quick.ts";
import { settleHttpClasses } from "../../lib/settle-http-classes.ts";

// What a collection of garbage at the wrong moment does to any server would show as a gain of the shim.
keepTicksQuick();
await settleHttpClasses();

const [host, ...served] = process.argv.slice(2);
for (const each of served) {
  const [port, ...file] = each.split(":");
  const body = readFileSync(file.join(":"));
  createServer((_req, res) => {
    res.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
    res.end(body);
  }).listen(Number(port), host);
}
