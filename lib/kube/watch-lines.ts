import type { Clock } from "../clock.ts";
import { refusalText } from "./api-status.ts";
import { withQuery } from "./query.ts";
import { refusal, Setback } from "./setback.ts";
import type { KubeStream, Transport } from "./transport.ts";
import { parseWatchEvent, type WatchEvent } from "./watch-event.ts";

/** An event that tells something about the cluster. */
export type NewsEvent = Extract<WatchEvent, { readonly type: "put" | "delete" | "bookmark" }>;

/**
 * Watches a path from a resourceVersion and hands over each event, until the server ends the watch
 * or nothing has come for `silenceMs`; that ends it without an error as well.
 *
 * @throws Setback, of kind `gone` when the resourceVersion is too old to watch from.
 */
export async function watchLines({
  connection,
  path,
  accept,
  resourceVersion,
  timeoutSeconds,
  headTimeoutMs,
  silenceMs,
  clock,
  signal,
  onOpen,
  onNews,
}: {
  readonly connection: Pick<Transport, "stream">;
  readonly path: string;
  readonly accept: string;
  readonly resourceVersion: string;
  /** When the server should end the watch. */
  readonly timeoutSeconds: number;
  readonly headTimeoutMs: number;
  readonly silenceMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The server has answered, with whatever status. */
  readonly onOpen: () => void;
  readonly onNews: (event: NewsEvent) => void;
}): Promise<"ended" | "silent"> {
  const query = {
    watch: "true",
    allowWatchBookmarks: "true",
    resourceVersion,
    timeoutSeconds: String(timeoutSeconds),
  };
  const cut = new AbortController();
  const stop = (): void => cut.abort();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  let silent = false;
  let heardMs = clock.now();
  try {
    const request = { path: withQuery(path, query), accept, signal: cut.signal, headTimeoutMs };
    const stream = await connection.stream(request);
    heardMs = clock.now();
    onOpen();
    void cutWhenSilent();
    if (stream.status !== 200) throw await refusalOf(stream, clock);
    for await (const line of stream.lines) {
      heardMs = clock.now();
      onNews(newsIn(line));
    }
    return "ended";
  } catch (cause) {
    if (silent) return "silent";
    throw cause;
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }

  async function cutWhenSilent(): Promise<void> {
    while (!cut.signal.aborted) {
      const leftMs = heardMs + silenceMs - clock.now();
      if (leftMs <= 0) {
        silent = true;
        stop();
      } else await clock.sleep(leftMs, cut.signal);
    }
  }
}

function newsIn(line: string): NewsEvent {
  const event = parseWatchEvent(line);
  if (event.type === "unreadable") {
    throw new Setback("answered", `cannot read a watch event: ${event.reason}`);
  }
  if (event.type === "error") {
    const { code = 0 } = event.status;
    const reason = `a watch event ${refusalText(code, event.status)}`;
    throw new Setback(code === 410 ? "gone" : "answered", reason);
  }
  return event;
}

async function refusalOf(stream: KubeStream, clock: Pick<Clock, "now">): Promise<Setback> {
  const { status, headers } = stream;
  return refusal({ status, headers, body: await firstJson(stream.lines) }, clock.now());
}

/** Only words the reason, so that anything else than JSON, or nothing, will do. */
async function firstJson(lines: AsyncIterable<string>): Promise<unknown> {
  try {
    for await (const line of lines) return JSON.parse(line);
  } catch {
    return undefined;
  }
  return undefined;
}
