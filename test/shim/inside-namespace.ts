import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { WORLD_ADDRESSES } from "./shim-world.ts";

/**
 * Runs a program of this project in a network namespace of its own, whose loopback interface has the
 * addresses of a shim's world and which has no way out. It ends with this process.
 *
 * @param onLine Told of each line of its output.
 * @returns its exit code.
 */
export async function runInsideNamespace(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  onLine: (line: string) => void,
): Promise<number | null> {
  const addresses = WORLD_ADDRESSES.map(
    (address) => `ip address add ${address} dev lo${address.includes(":") ? " nodad" : ""}`,
  );
  const script = ["ip link set lo up", ...addresses, 'exec "$@"'].join(" && ");
  const child = spawn(
    "unshare",
    ["--net", "--kill-child", "--fork", "--", "sh", "-c", script, "sh", process.execPath, file],
    { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] },
  );
  const lines = createInterface(child.stdout);
  lines.on("line", onLine);
  const [[code]] = await Promise.all([once(child, "close"), once(lines, "close")]);
  return typeof code === "number" ? code : null;
}
