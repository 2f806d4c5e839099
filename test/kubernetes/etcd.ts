import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { SupervisedProcess } from "./supervised-process.ts";
import { untilReady } from "./until-ready.ts";

/** A running etcd with one member. */
export interface Etcd {
  readonly process: SupervisedProcess;
  /** What an API server is given as `--etcd-servers`. */
  readonly url: string;
  /** Writes a value under a key, past any API server. */
  put(key: string, value: string): Promise<void>;
}

/**
 * Starts etcd on a Unix socket, so that it takes no port and nobody else reaches it, and without
 * waiting for the disk: its data does not outlive the test.
 */
export async function startEtcd(
  folder: string,
  start: (flags: readonly string[]) => Promise<SupervisedProcess>,
): Promise<Etcd> {
  const socketPath = join(folder, "etcd.sock");
  const process = await start([
    `--data-dir=${join(folder, "etcd")}`,
    "--unsafe-no-fsync",
    // A lone member waits for its own election; the defaults are for members far apart.
    "--heartbeat-interval=10",
    "--election-timeout=100",
    `--listen-client-urls=unix://${socketPath}`,
    // Wanted as host and port; with one member nobody ever reads it.
    "--advertise-client-urls=http://localhost:2379",
    `--listen-peer-urls=unix://${join(folder, "etcd-peer.sock")}`,
  ]);
  await untilReady(process, async () => (await call("GET", "/health")).includes('"true"'));
  return {
    process,
    url: `unix://${socketPath}`,
    async put(key, value) {
      await call("POST", "/v3/kv/put", JSON.stringify({ key: base64(key), value: base64(value) }));
    },
  };

  /** Calls the JSON gateway (etcd.io/docs/v3.6/dev-guide/api_grpc_gateway). */
  async function call(method: string, path: string, body = ""): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    request({ socketPath, method, path, agent: false }, resolve).on("error", reject).end(body);
    const response = await promise;
    const answer = await text(response);
    if (response.statusCode === 200) return answer;
    throw new Error(`etcd answered ${method} ${path} with ${response.statusCode}: ${answer}`);
  }
}

function base64(value: string): string {
  return Buffer.from(value).toString("base64");
}
