// The measure of all ratios: an HTTPS server that parses and stringifies what is posted, and
// nothing else: node calibration-main.ts PORT CERTIFICATE_FILE KEY_FILE
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { keepTicksQuick } from "../../lib/keep-ticks-quick.ts";

// What a collection of garbage at the wrong moment does to any server would show as a gain of the webhook.
keepTicksQuick();

const [port, certFile = "", keyFile = ""] = process.argv.slice(2);
const pair = { cert: readFileSync(certFile), key: readFileSync(keyFile) };

createServer(pair, (req, res) => {
  const chunks: Buffer[] = [];
  req.on("data", (chunk: Buffer) => chunks.push(chunk));
  req.on("end", () => {
    const text = Buffer.concat(chunks).toString();
    const answer = text === "" ? "" : JSON.stringify(JSON.parse(text));
    res.writeHead(200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(answer),
    });
    res.end(answer);
  });
}).listen(Number(port), "127.0.0.1");
