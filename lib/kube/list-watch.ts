import { backoffMs } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { KubeObject } from "./kube-object.ts";
import { listPages } from "./list-pages.ts";
import { metadataOnly } from "./metadata-only.ts";
import { ObjectStore, type StoredEntry } from "./object-store.ts";
import { asSetback, Setback } from "./setback.ts";
import { afterFailedList, afterList, afterWatch, FRESH, type Standing } from "./standing.ts";
import type { Transport } from "./transport.ts";
import { watchLines, type NewsEvent } from "./watch-lines.ts";

/** What a list-watch lives through, for metrics and for those who act on changes. */
export type ListWatchEvent =
  /** The whole content was replaced by a new list. */
  | { readonly type: "listed"; readonly size: number }
  /** A value was set, or taken away. */
  | { readonly type: "changed"; readonly namespace: string; readonly name: string }
  /** The server told that it has nothing newer to tell. */
  | { readonly type: "bookmark" }
  /** A list or watch failed; the next try comes after `retryMs`. */
  | { readonly type: "failed"; readonly reason: string; readonly retryMs: number };

export interface ListWatchOptions<T> {
  readonly connection: Pick<Transport, "request" | "stream">;
  /** The collection, such as `/api/v1/serviceaccounts`; may have selectors in its query. */
  readonly path: string;
  /** Asks for metadata only; objects then have no spec, data or the like. */
  readonly metadataOnly: boolean;
  /** What to hold of an object, as little as possible; undefined to hold nothing of it. */
  readonly keep: (object: KubeObject) => T | undefined;
  readonly clock: Clock;
  /** A number in [0, 1); spreads retries and the length of watches. */
  readonly random?: (() => number) | undefined;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** Stops it, as disposing does. */
  readonly signal?: AbortSignal | undefined;
  /** Objects a page of a list; 500 when absent. */
  readonly pageSize?: number | undefined;
  /** Longest wait for a page, and for the head of a watch; 30 s when absent. */
  readonly timeoutMs?: number | undefined;
  readonly onEvent?: ((event: ListWatchEvent) => void) | undefined;
}

/**
 * A read-only copy of a collection that follows the API server. Reading never waits: it shows the
 * last state that was told, whole at any time, and `staleSeconds` says how old that may be.
 */
export interface ListWatch<T> extends AsyncDisposable {
  /** The namespace of objects of the cluster is the empty string. */
  get(namespace: string, name: string): T | undefined;
  has(namespace: string, name: string): boolean;
  entries(): Iterable<StoredEntry<T>>;
  readonly size: number;
  /** Whether the first list is complete; stays true through later outages. */
  readonly synced: boolean;
  /** Whether a watch is open, as far as this side can tell, so that changes are told as they happen. */
  readonly following: boolean;
  /** Rejects with AppError KUBERNETES_UNAVAILABLE when it is stopped before that. */
  readonly whenSynced: Promise<void>;
  /** Seconds since the server last told anything (page, event, bookmark), or since the start. */
  staleSeconds(): number;
}

/**
 * Starts to list and watch a collection, and never gives up until it is stopped: whatever fails is
 * tried again with back-off and jitter, and told in the log. A watch goes on where it broke off; a
 * resourceVersion that is gone (410) leads to a new list, which replaces the content at one stroke.
 */
export function startListWatch<T>(options: ListWatchOptions<T>): ListWatch<T> {
  return new Follower(options);
}

const JSON_TYPE = "application/json";
const DEFAULT_PAGE_SIZE = 500;
const MAX_PAGE_SIZE = 10_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const BACKOFF = { baseMs: 1000, maxMs: 30_000 };
/** A server that asks for a longer wait is asked again after this one. */
const MAX_RETRY_AFTER_MS = 300_000;
/** As client-go, 5 to 10 minutes: the watches of many clients shall not end together. */
const MIN_WATCH_SECONDS = 300;
/** Bookmarks come about once a minute; a watch without any for this long is taken for dead. */
const SILENCE_MS = 180_000;

class Follower<T> implements ListWatch<T> {
  readonly whenSynced: Promise<void>;
  readonly #options: ListWatchOptions<T>;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #store = new ObjectStore<T>();
  #synced = false;
  #following = false;
  #heardMs: number;
  #standing: Standing = FRESH;
  /** Where to watch from; undefined asks for a list. */
  #resourceVersion: string | undefined;

  constructor(options: ListWatchOptions<T>) {
    this.#options = options;
    this.#heardMs = options.clock.now();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.whenSynced = promise;
    // Nobody has to wait for it.
    promise.catch(() => {});
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    if (options.signal?.aborted === true) this.#abort();
    this.#running = this.#run(resolve).finally(() => {
      const message = `Stopped before the first list of ${options.path}`;
      reject(new AppError("KUBERNETES_UNAVAILABLE", 503, message));
    });
  }

  get size(): number {
    return this.#store.size;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get following(): boolean {
    return this.#following;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#store.get(namespace, name);
  }

  has(namespace: string, name: string): boolean {
    return this.#store.has(namespace, name);
  }

  entries(): Iterable<StoredEntry<T>> {
    return this.#store.entries();
  }

  staleSeconds(): number {
    return Math.max(0, this.#options.clock.now() - this.#heardMs) / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort();
    await this.#running;
  }

  readonly #abort = (): void => {
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#stop.abort();
  };

  async #run(onSynced: () => void): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        if (this.#resourceVersion === undefined) {
          await this.#list();
          onSynced();
        } else await this.#watch(this.#resourceVersion);
      } catch (cause) {
        if (!this.#stop.signal.aborted) await this.#recover(asSetback(cause));
      }
    }
  }

  async #list(): Promise<void> {
    const { connection, path, clock, log, pageSize = DEFAULT_PAGE_SIZE } = this.#options;
    const fresh = new ObjectStore<T>();
    try {
      this.#resourceVersion = await listPages({
        connection,
        path,
        accept: this.#options.metadataOnly ? metadataOnly("PartialObjectMetadataList") : JSON_TYPE,
        // Larger pages once a list was too slow for the time that the server remembers its state.
        limit: Math.max(pageSize, Math.min(MAX_PAGE_SIZE, pageSize * 2 ** this.#standing.expiries)),
        timeoutMs: this.#timeoutMs,
        clock,
        signal: this.#stop.signal,
        onPage: ({ objects, unreadable }) => {
          this.#heardMs = clock.now();
          for (const object of objects) this.#put(fresh, object, this.#kept(object));
          for (const reason of unreadable) log.error({ path, reason }, "Cannot read an object");
        },
      });
    } catch (cause) {
      const setback = asSetback(cause);
      this.#standing = afterFailedList(this.#standing, setback.kind);
      throw setback;
    }
    this.#store = fresh;
    this.#synced = true;
    this.#standing = afterList(this.#standing);
    log.info({ path, objects: fresh.size }, "Listed objects");
    this.#tell({ type: "listed", size: fresh.size });
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { connection, path, clock, log, random = Math.random } = this.#options;
    const startMs = clock.now();
    let reached = false;
    let news = 0;
    let setback: Setback | undefined;
    let end: "ended" | "silent" | Setback["kind"];
    try {
      end = await watchLines({
        connection,
        path,
        accept: this.#options.metadataOnly ? metadataOnly("PartialObjectMetadata") : JSON_TYPE,
        resourceVersion,
        timeoutSeconds: Math.floor(MIN_WATCH_SECONDS * (1 + random())),
        headTimeoutMs: this.#timeoutMs,
        silenceMs: SILENCE_MS,
        clock,
        signal: this.#stop.signal,
        onOpen: () => {
          reached = true;
          this.#following = true;
        },
        onNews: (event) => {
          news += 1;
          this.#apply(event);
        },
      });
    } catch (cause) {
      setback = asSetback(cause);
      end = setback.kind;
    } finally {
      this.#following = false;
    }
    const livedMs = clock.now() - startMs;
    const next = afterWatch(this.#standing, { reached, news, livedMs, end });
    this.#standing = next.standing;
    if (next.relist) this.#resourceVersion = undefined;
    log.debug({ path, news, livedMs, end }, "Watch ended");
    if (!next.failed) return;
    throw (
      setback ??
      new Setback(
        "answered",
        end === "silent" ? "the watch fell silent" : "the watch ended at once",
      )
    );
  }

  #apply(event: NewsEvent): void {
    this.#heardMs = this.#options.clock.now();
    this.#resourceVersion = event.resourceVersion;
    if (event.type === "bookmark") return this.#tell({ type: "bookmark" });
    const { namespace = "", name } = event.object.metadata;
    const value = event.type === "delete" ? undefined : this.#kept(event.object);
    const changed = this.#put(this.#store, event.object, value);
    if (changed) this.#tell({ type: "changed", namespace, name });
  }

  /** Sets an object's value, or takes it away when there is none. @returns whether that changed it. */
  #put(store: ObjectStore<T>, { metadata }: KubeObject, value: T | undefined): boolean {
    const { namespace = "", name } = metadata;
    if (value === undefined) return store.delete(namespace, name);
    store.set(namespace, name, value);
    return true;
  }

  #kept(object: KubeObject): T | undefined {
    try {
      return this.#options.keep(object);
    } catch (err) {
      // An old value would outlive what it was made from, so there is none then.
      const { namespace, name } = object.metadata;
      const { path, log } = this.#options;
      log.error({ path, namespace, name, err }, "Cannot use an object");
      return undefined;
    }
  }

  async #recover({ message: reason, retryAfterMs = 0 }: Setback): Promise<void> {
    const { path, clock, log, random = Math.random } = this.#options;
    const { failures } = this.#standing;
    const retryMs = Math.max(
      backoffMs(failures, { ...BACKOFF, random: random() }),
      Math.min(retryAfterMs, MAX_RETRY_AFTER_MS),
    );
    log.warn({ path, reason, failures, retryMs }, "Cannot follow objects");
    this.#tell({ type: "failed", reason, retryMs });
    await clock.sleep(retryMs, this.#stop.signal);
  }

  #tell(event: ListWatchEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (err) {
      const { path, log } = this.#options;
      log.error({ path, type: event.type, err }, "Cannot handle a list-watch event");
    }
  }

  get #timeoutMs(): number {
    return this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }
}
