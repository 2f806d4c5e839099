import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../kubernetes/free-port.ts";
import type { Cores } from "./cores.ts";
import { NODE_ADDRESS } from "./node-pods.ts";
import { failureOf, startServerProcess, type ServerProcess } from "./server-process.ts";
import type { ShimGround } from "./shim-ground.ts";
import { byRequest, REQUESTS, type RequestName } from "./shim-result.ts";
import { untilOk } from "./until-ok.ts";

/** A server, with the port for each request. */
export interface Target {
  readonly server: ServerProcess;
  readonly ports: Readonly<Record<RequestName, number>>;
}

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
  const allAnswer = Promise.all(
    [...ports.values()].map((port) => untilOk({ host: NODE_ADDRESS, port, path: "/" })),
  );
  await Promise.race([allAnswer, failureOf(server)]);
  return { server, ports: byRequest((name) => ports.get(name) ?? 0) };
}
