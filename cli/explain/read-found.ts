import { reasonOf } from "../../lib/errors.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import type { Found } from "./snapshot.ts";

export const READ_TIMEOUT_MS = 10_000;

/**
 * Reads something from the cluster, and notes why when it cannot be read.
 *
 * @param right What the user needs, as `kubectl auth can-i` takes it.
 */
export async function readFound<T>(
  connection: Pick<KubeConnection, "request">,
  path: string,
  right: string,
  parse: (body: unknown) => T,
): Promise<Found<T>> {
  try {
    const { status, body } = await connection.request({ path, timeoutMs: READ_TIMEOUT_MS });
    if (status === 200) return { status: "found", value: parse(body) };
    if (status === 404) return { status: "missing" };
    if (status === 403) return { status: "forbidden", right };
    return { status: "failed", problem: `the API server ${refusalText(status, body)}` };
  } catch (err) {
    return { status: "failed", problem: reasonOf(err) };
  }
}
