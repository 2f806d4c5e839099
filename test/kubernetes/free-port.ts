import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { reasonOf } from "../../lib/errors.ts";

// Below what Linux (32768) and macOS (49152) give to those who ask for port 0, and to outgoing
// connections: a port stays ours also while its server is stopped for a restart.
const FIRST_PORT = 20_000;
const LAST_PORT = 29_999;
const TRIES = 100;
const RACES = 3;

/** Chooses a port at which all of these addresses are free. */
export type PickPort = (hosts: readonly string[]) => Promise<number>;

/**
 * Calls `start` with a free port, and with another one when somebody else was faster there.
 *
 * @throws the error of `start`.
 */
export async function onFreePort<T>(
  hosts: readonly string[],
  pickPort: PickPort,
  start: (port: number) => Promise<T>,
): Promise<T> {
  for (let race = 1; ; race += 1) {
    const port = await pickPort(hosts);
    try {
      return await start(port);
    } catch (err) {
      // The words of Go, in the end of the log that the error quotes.
      const isLost = reasonOf(err).includes("bind: address already in use");
      if (!isLost || race === RACES) throw err;
    }
  }
}

/**
 * A TCP port on which nobody listens at any of the addresses. Somebody may take it before its user
 * does; the user then tries again with another.
 */
export async function freePort(hosts: readonly string[]): Promise<number> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if (await isFree(port, hosts)) return port;
  }
  throw new Error(`Cannot find a free port from ${FIRST_PORT} to ${LAST_PORT} on ${hosts.join()}`);
}

async function isFree(port: number, hosts: readonly string[]): Promise<boolean> {
  const results = await Promise.all(hosts.map((host) => canListen(port, host)));
  return results.every(Boolean);
}

async function canListen(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, "listening");
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "EADDRINUSE") return false;
    throw err;
  }
  const closed = once(server, "close");
  server.close();
  await closed;
  return true;
}
