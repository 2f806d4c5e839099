import { METADATA_ADDRESSES, type Family } from "./rule-settings.ts";
import type { RunProgram } from "./run-program.ts";

/**
 * Makes the kernel forget the connections to the metadata service that go there and not to the shim,
 * so that the rules, which are asked only when a connection begins, are asked about them too.
 *
 * @returns why it could not be done; undefined when it was.
 */
export async function flushConnections(
  family: Family,
  run: RunProgram,
): Promise<string | undefined> {
  const [address = ""] = METADATA_ADDRESSES[family].split("/");
  // Those that were redirected are answered by another address, and are left alone.
  const filter = ["--orig-dst", address, "--reply-src", address];
  const result = await run("conntrack", ["--delete", "--family", family, ...filter]);
  // It ends with 1 also when there was none.
  const isDone = result.status === 0 || /\b0 flow entries have been deleted/.test(result.stderr);
  return isDone ? undefined : result.stderr.trim() || `conntrack ended with ${result.status}`;
}
