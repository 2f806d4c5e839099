import { request } from "node:http";
import { listen, type RunningServer } from "../../../lib/http.ts";
import type { KeyPair } from "../../../lib/server-certificate.ts";

/**
 * What an Ingress controller does with the issuer's Ingress: ends TLS, passes on the exact paths under
 * the same host, and answers 404 to all others.
 *
 * @param backendPort Where the Service is, on this machine's 127.0.0.1.
 */
export function startIngress({
  keyPair,
  paths,
  backendPort,
}: {
  readonly keyPair: KeyPair;
  readonly paths: readonly string[];
  readonly backendPort: number;
}): Promise<RunningServer> {
  return listen(
    ({ method, url: path = "/", headers }, response) => {
      if (!paths.includes(path)) {
        response.writeHead(404).end();
        return;
      }
      const to = { host: "127.0.0.1", port: backendPort, method, path, headers, agent: false };
      const passed = request(to, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      passed.on("error", () => response.writeHead(502).end()).end();
    },
    { port: 0, host: "127.0.0.1", drainMs: 100, keyPair },
  );
}
