import type { Clock } from "../clock.ts";
import { parseObjectList, type ObjectList } from "./object-list.ts";
import { withQuery } from "./query.ts";
import { refusal, Setback } from "./setback.ts";
import type { Transport } from "./transport.ts";

/**
 * Lists all objects below a path, page by page.
 *
 * It names no resourceVersion, so it shows the newest state: `resourceVersion=0` would be cheaper for
 * the server, but may be answered from any API server's cache, thus with a state older than the one
 * already known, and servers may ignore `limit` with it (Kubernetes, "API concepts", resource
 * versions).
 *
 * @returns the resourceVersion to watch from. The first page's, should a server change it on the way:
 *   a watch from there repeats what later pages have shown and misses nothing.
 * @throws Setback, of kind `gone` when a page was asked for too late and the list must start anew.
 */
export async function listPages({
  connection,
  path,
  accept,
  limit,
  timeoutMs,
  clock,
  signal,
  onPage,
}: {
  readonly connection: Pick<Transport, "request">;
  readonly path: string;
  readonly accept: string;
  /** Objects a page. */
  readonly limit: number;
  /** Bounds each page. */
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, "now">;
  readonly signal: AbortSignal;
  readonly onPage: (page: ObjectList) => void;
}): Promise<string> {
  let first: ObjectList | undefined;
  let continueToken: string | undefined;
  do {
    const query = { limit: String(limit), continue: continueToken };
    const request = { path: withQuery(path, query), accept, timeoutMs, signal };
    const answer = await connection.request(request);
    if (answer.status !== 200) throw refusal(answer, clock.now());
    const page = parseObjectList(answer.body);
    if ("reason" in page) throw new Setback("answered", `answered no list: ${page.reason}`);
    onPage(page);
    first ??= page;
    ({ continueToken } = page);
  } while (continueToken !== undefined);
  return first.resourceVersion;
}
