import { AppError } from "../errors.ts";
import { FreshFlight } from "../fresh-flight.ts";
import type { KubeConnection } from "./connection.ts";
import { KubeObject } from "./kube-object.ts";
import { metadataOnly } from "./metadata-only.ts";

/** What became of a live read. */
export type LiveReadResult = "found" | "not-found" | "failed";

export interface LiveReadsDeps<T> {
  readonly connection: Pick<KubeConnection, "request">;
  /** What is wanted of an object. */
  readonly keep: (object: KubeObject) => T;
  /** Whether metadata is all that is asked for; it is when absent. */
  readonly metadataOnly?: boolean | undefined;
  /** Longest wait for the API server. */
  readonly timeoutMs: number;
  readonly onLiveRead: (result: LiveReadResult) => void;
}

/** Kubernetes, "DNS subdomain names"; anything else names nothing, and has no place in a URL. */
const OBJECT_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;

/**
 * Reads single objects past the cache. Those who ask for the same one together share
 * reads, and everyone's answer rests on a read that began after it was asked for.
 */
export class LiveReads<T> {
  readonly #deps: LiveReadsDeps<T>;
  readonly #reads = new FreshFlight<T | undefined>();

  constructor(deps: LiveReadsDeps<T>) {
    this.#deps = deps;
  }

  /**
   * @param path From `/api/v1` on, with names at its odd places: `["namespaces", "a"]`.
   * @returns undefined when there is no such object.
   * @throws AppError KUBERNETES_FORBIDDEN, KUBERNETES_REFUSED, KUBERNETES_UNAVAILABLE; a failure is
   *   not remembered.
   */
  read(path: readonly string[]): Promise<T | undefined> {
    return this.#reads.run(path.join("/"), async () => {
      try {
        const object = await this.#get(path);
        this.#deps.onLiveRead(object === undefined ? "not-found" : "found");
        return object;
      } catch (err) {
        this.#deps.onLiveRead("failed");
        throw err;
      }
    });
  }

  async #get(segments: readonly string[]): Promise<T | undefined> {
    if (segments.some((name, i) => i % 2 === 1 && !OBJECT_NAME.test(name))) return undefined;
    const { connection, keep, timeoutMs, metadataOnly: isMetadata = true } = this.#deps;
    const path = `/api/v1/${segments.join("/")}`;
    const accept = isMetadata ? metadataOnly("PartialObjectMetadata") : undefined;
    const { status, body } = await connection.request({ path, accept, timeoutMs });
    if (status === 404) return undefined;
    const object = KubeObject.safeParse(body);
    if (status === 200 && object.success) return keep(object.data);
    const message = `Cannot read ${path}: the API server answered ${status}`;
    const code = status === 403 ? "KUBERNETES_FORBIDDEN" : "KUBERNETES_REFUSED";
    throw new AppError(code, 502, message);
  }
}
