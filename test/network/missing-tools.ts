import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const PROGRAMS: readonly string[] = [
  "unshare",
  "nsenter",
  "ip",
  "sysctl",
  "flock",
  "setpriv",
  "iptables-nft",
  "iptables-legacy",
  "conntrack",
];

/** What this machine lacks for tests in network namespaces, in one line; undefined when nothing. */
export function missingTools(
  env: Readonly<Record<string, string | undefined>>,
  programs: readonly string[] = PROGRAMS,
): string | undefined {
  if (process.getuid?.() !== 0) return "Network namespaces need root on Linux";
  const folders = (env["PATH"] ?? "").split(delimiter);
  const missing = programs.filter(
    (program) => !folders.some((folder) => isExecutable(join(folder, program))),
  );
  return missing.length === 0 ? undefined : `Programs are not installed: ${missing.join(", ")}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
