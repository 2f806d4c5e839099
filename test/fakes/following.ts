import assert from "node:assert/strict";
import { createCollectedLog } from "./collected-log.ts";
import { createMovedClock, type MovedClock } from "./moved-clock.ts";
import { startListServer, type ListServer } from "./list-server.ts";
import { until } from "./until.ts";
import { connect } from "../../lib/kube/connection.ts";
import { startListWatch, type ListWatch, type ListWatchEvent } from "../../lib/kube/list-watch.ts";

/** A list-watch under test, with all that surrounds it. */
export interface Following extends AsyncDisposable {
  readonly server: ListServer;
  readonly clock: MovedClock;
  readonly watch: ListWatch<string>;
  readonly events: readonly ListWatchEvent[];
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** Moves the clock to the end of the back-off that the last failure led to. */
  retry(): void;
}

interface Settings {
  /** Prepares the server. */
  readonly before?: (server: ListServer) => void;
  readonly pageSize?: number;
  readonly metadataOnly?: boolean;
  readonly onEvent?: (event: ListWatchEvent) => void;
  readonly random?: () => number;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A list-watch of the annotation `role` on a fake server. */
export async function follow(settings: Settings = {}): Promise<Following> {
  const server = await startListServer();
  settings.before?.(server);
  const clock = createMovedClock();
  const events: ListWatchEvent[] = [];
  const { log, lines } = createCollectedLog();
  const watch = startListWatch({
    connection: connect({ kubeApi: server.url }),
    path: "/api/v1/serviceaccounts",
    metadataOnly: settings.metadataOnly ?? true,
    keep: ({ metadata }) => {
      if (metadata.annotations?.["role"] === "throws") throw new Error("no use");
      return metadata.annotations?.["role"];
    },
    clock,
    random: settings.random ?? (() => 0.5),
    log,
    pageSize: settings.pageSize ?? 500,
    timeoutMs: settings.timeoutMs ?? 5000,
    signal: settings.signal,
    onEvent: (event) => {
      events.push(event);
      settings.onEvent?.(event);
    },
  });
  return {
    server,
    clock,
    watch,
    events,
    log: lines,
    retry() {
      const failure = events.findLast((event) => event.type === "failed");
      assert.ok(failure?.type === "failed");
      clock.advance(failure.retryMs);
    },
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** What it shows, by `namespace/name`. */
export function contentOf({ watch }: Following): Record<string, string> {
  return Object.fromEntries(
    [...watch.entries()].map(({ namespace, name, value }) => [`${namespace}/${name}`, value]),
  );
}

/** Waits until the first list is complete and a watch is open. */
export async function watching(following: Following): Promise<void> {
  await following.watch.whenSynced;
  await until("a watch is open", () => following.server.watches === 1);
}

/** Waits until so many lists and watches have failed, from the start on. */
export function failed({ events }: Following, times: number): Promise<void> {
  const count = () => events.filter(({ type }) => type === "failed").length;
  return until(`there were ${times} failures`, () => count() >= times);
}

/** The kinds of requests so far, in their order. */
export function kindsOf({ server }: Following): string {
  return server.requests.map(({ kind }) => kind).join(" ");
}
