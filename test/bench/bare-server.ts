import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ask } from "../fakes/ask.ts";
import { untilWithin } from "../fakes/until.ts";
import { freePort } from "../kubernetes/free-port.ts";
import type { Cores } from "./cores.ts";
import { NODE_ADDRESS } from "./node-pods.ts";
import { failureOf, startServerProcess, type ServerProcess } from "./server-process.ts";
import type { ShimGround } from "./shim-ground.ts";
import { byRequest, REQUESTS, type RequestName } from "./shim-result.ts";

/** A server, with the port for each request. */
export interface Target {
  readonly server: ServerProcess;
  readonly ports: Readonly<Record<RequestName, number>>;
}

const START_LIMIT_MS = 60_000;

/** Starts the measure of the shim: a server that answers with what the shim answered. */
export async function startBareServer(
  { stage: { folder } }: ShimGround,
  {
    bodies,
    cores,
  }: {
    readonly bodies: Readonly<Record<RequestName, string>>;
    readonly cores: Cores;
  },
  stack: AsyncDisposableStack,
): Promise<Target> {
  const ports = new Map<RequestName, number>();
  const served: string[] = [];
  for (const name of REQUESTS) {
    const file = join(folder, `${name}.body`);
    await writeFile(file, bodies[name]);
    const port = await freePort([NODE_ADDRESS]);
    ports.set(name, port);
    served.push(`${port}:${file}`);
  }
  const main = fileURLToPath(new URL("bare-main.ts", import.meta.url));
  const args = [main, NODE_ADDRESS, ...served];
  const place = { folder, core: cores?.server };
  const server = stack.use(await startServerProcess("bare", args, place));
  const allListen = Promise.all([...ports.values()].map(untilListens));
  await Promise.race([allListen, failureOf(server)]);
  return { server, ports: byRequest((name) => ports.get(name) ?? 0) };
}

async function untilListens(port: number): Promise<void> {
  const answers = async (): Promise<boolean> => {
    try {
      return (await ask({ host: NODE_ADDRESS, port, path: "/" })).status === 200;
    } catch {
      return false;
    }
  };
  await untilWithin({ limitMs: START_LIMIT_MS, pauseMs: 20 })("the bare server answers", answers);
}
