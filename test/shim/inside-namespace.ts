import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { WORLD_ADDRESSES } from "./shim-world.ts";

export interface InsideOptions {
  readonly args?: readonly string[];
  /** Of the loopback interface; those of a shim's world when absent. */
  readonly addresses?: readonly string[];
  /** Asks it to end (SIGTERM). */
  readonly signal?: AbortSignal;
}

/**
 * Runs a program of this project in a network namespace of its own, whose loopback interface has
 * addresses of its own and which has no way out. It ends with this process.
 *
 * @param onLine Told of each line of its output.
 * @returns its exit code.
 */
export async function runInsideNamespace(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  onLine: (line: string) => void,
  { args = [], addresses = WORLD_ADDRESSES, signal }: InsideOptions = {},
): Promise<number | null> {
  const links = addresses.map(
    (address) => `ip address add ${address} dev lo${address.includes(":") ? " nodad" : ""}`,
  );
  const script = ["ip link set lo up", ...links, 'exec "$@"'].join(" && ");
  const inside = ["unshare", "--net", "--", "sh", "-c", script, "sh"];
  const child = spawn(
    "setpriv",
    ["--pdeathsig", "TERM", "--", ...inside, process.execPath, file, ...args],
    { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] },
  );
  const stop = (): void => void child.kill();
  signal?.addEventListener("abort", stop, { once: true });
  const lines = createInterface(child.stdout);
  lines.on("line", onLine);
  const [[code]] = await Promise.all([once(child, "close"), once(lines, "close")]);
  signal?.removeEventListener("abort", stop);
  return typeof code === "number" ? code : null;
}
