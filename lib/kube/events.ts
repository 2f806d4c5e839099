import { createHash } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { reasonOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { TokenBucket } from "../token-bucket.ts";
import { refusalText } from "./api-status.ts";
import type { KubeAnswer, Transport } from "./transport.ts";

/** What an Event is about (Kubernetes API, core/v1 ObjectReference). */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface EventFacts {
  readonly regarding: ObjectReference;
  readonly type: "Normal" | "Warning";
  /** One word in CamelCase, for machines; one Event is kept for each object and reason. */
  readonly reason: string;
  /** A sentence for humans; cut when it is longer than Kubernetes allows. */
  readonly message: string;
}

/** What became of a wish to record something. */
export type EventResult =
  | "created"
  /** The Event was there: its count and its time were set anew. */
  | "repeated"
  /** It was recorded not long ago, so nothing was sent. */
  | "too-soon"
  /** Too many Events altogether: to be asked for again later. */
  | "limited"
  | "failed";

export interface EventRecorderOptions {
  readonly connection: Pick<Transport, "request">;
  /** Name of the program, as `kubectl describe` shows it. */
  readonly component: string;
  /** Name of this replica. */
  readonly instance: string;
  readonly clock: Pick<Clock, "now">;
  readonly log: Pick<Logger, "warn">;
  /** An Event is written again at most this often; 15 minutes when absent. */
  readonly repeatMs?: number | undefined;
  /** Writes at once; 100 when absent. */
  readonly burst?: number | undefined;
  /** Writes in the long run; 60 when absent. */
  readonly perMinute?: number | undefined;
}

/** Below the hour that an API server keeps an Event by default, so that a lasting one stays visible. */
const REPEAT_MS = 15 * 60_000;
const BURST = 100;
const PER_MINUTE = 60;
const TIMEOUT_MS = 10_000;
/**
 * When an Event was written is known for this long, so that with more of them than the bound allows
 * those that waited longest can come first.
 */
const MEMORY_MS = 4 * 3_600_000;
/** Nothing is written for this long after the API server could not answer. */
const PAUSE_MS = 30_000;
/** Kubernetes' limit for a message (core/v1 Event validation), in characters. */
const MAX_MESSAGE = 1024;
/** Room for the dot and the hash within the 253 characters of an object's name. */
const MAX_NAME_PREFIX = 253 - 17;
const MERGE_PATCH = "application/merge-patch+json";

const StoredEvent = z.looseObject({ count: z.number().int().nullish() });

/**
 * Writes Events (core/v1) that add up instead of piling up: one for each object and reason, found
 * again by its name after a restart, with a count and the time it was last seen. Writes are bounded
 * overall. How long an Event is kept is the API server's (`--event-ttl`); one that is written again
 * counts from then.
 *
 * Needs `create`, `get` and `patch` of events in the namespaces of the objects. Nothing throws: what
 * fails is told in the log, and as the result.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #bucket: TokenBucket;
  readonly #writtenMs = new Map<string, number>();
  #pausedUntilMs = 0;

  constructor(options: EventRecorderOptions) {
    const { clock, burst = BURST, perMinute = PER_MINUTE } = options;
    this.#options = options;
    this.#bucket = new TokenBucket({ burst, perMinute, clock });
  }

  /** When it was last written, in milliseconds since the epoch; undefined when it was not, or long ago. */
  writtenMs(facts: Pick<EventFacts, "regarding" | "reason">): number | undefined {
    return this.#writtenMs.get(keyOf(facts));
  }

  /** Whether it would be written now, were there no bound. */
  isDue(facts: Pick<EventFacts, "regarding" | "reason">): boolean {
    const { clock, repeatMs = REPEAT_MS } = this.#options;
    const writtenMs = this.writtenMs(facts);
    return writtenMs === undefined || clock.now() - writtenMs >= repeatMs;
  }

  async record(facts: EventFacts): Promise<EventResult> {
    const { clock, log } = this.#options;
    const name = eventName(facts);
    const key = keyOf(facts);
    if (!this.isDue(facts)) return "too-soon";
    if (clock.now() < this.#pausedUntilMs || !this.#bucket.take()) return "limited";
    this.#forgetOld();
    // A refusal counts as well: it is not asked for again and again.
    this.#writtenMs.delete(key);
    this.#writtenMs.set(key, clock.now());
    try {
      return await this.#write(name, facts);
    } catch (err) {
      if (!(err instanceof Refusal)) {
        this.#writtenMs.delete(key);
        this.#pausedUntilMs = clock.now() + PAUSE_MS;
      }
      const { regarding, reason } = facts;
      const { kind, namespace, name: object } = regarding;
      log.warn(
        { kind, namespace, name: object, reason, problem: reasonOf(err) },
        "Cannot write an Event",
      );
      return "failed";
    }
  }

  /** The map is in the order of time. */
  #forgetOld(): void {
    const nowMs = this.#options.clock.now();
    for (const [key, writtenMs] of this.#writtenMs) {
      if (nowMs - writtenMs < MEMORY_MS) return;
      this.#writtenMs.delete(key);
    }
  }

  async #write(name: string, facts: EventFacts): Promise<EventResult> {
    const { namespace } = facts.regarding;
    const events = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    const nowIso = new Date(this.#options.clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
    const message = cut(facts.message);
    const answer = await this.#send("POST", events, this.#eventOf(name, facts, nowIso));
    if (answer.status === 201) return "created";
    if (answer.status !== 409) throw failureOf(answer);

    const path = `${events}/${encodeURIComponent(name)}`;
    const found = await this.#send("GET", path);
    if (found.status !== 200) throw failureOf(found);
    const count = (StoredEvent.safeParse(found.body).data?.count ?? 1) + 1;
    const change = { count, lastTimestamp: nowIso, message };
    const patched = await this.#send("PATCH", path, change);
    if (patched.status !== 200) throw failureOf(patched);
    return "repeated";
  }

  #send(method: string, path: string, body?: object): Promise<KubeAnswer> {
    return this.#options.connection.request({
      method,
      path,
      timeoutMs: TIMEOUT_MS,
      ...(method === "PATCH" ? { contentType: MERGE_PATCH } : {}),
      ...(body === undefined ? {} : { body }),
    });
  }

  #eventOf(name: string, { regarding, type, reason, message }: EventFacts, nowIso: string): object {
    const { component, instance } = this.#options;
    return {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name, namespace: regarding.namespace },
      involvedObject: regarding,
      type,
      reason,
      message: cut(message),
      count: 1,
      firstTimestamp: nowIso,
      lastTimestamp: nowIso,
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
    };
  }
}

/** An answer that another try at once would not change. */
class Refusal extends Error {}

function failureOf({ status, body }: KubeAnswer): Error {
  const text = refusalText(status, body);
  return status >= 500 || status === 429 ? new Error(text) : new Refusal(text);
}

function keyOf(facts: Pick<EventFacts, "regarding" | "reason">): string {
  return `${facts.regarding.namespace}/${eventName(facts)}`;
}

/** The same for the same object and reason, whoever writes it. */
function eventName({ regarding, reason }: Pick<EventFacts, "regarding" | "reason">): string {
  const { uid, kind, name } = regarding;
  const hash = createHash("sha256").update(`${uid}/${kind}/${reason}`).digest("hex").slice(0, 16);
  // A cut in front of a dot or dash would leave a name that is none.
  return `${name.slice(0, MAX_NAME_PREFIX).replace(/[.-]+$/, "")}.${hash}`;
}

function cut(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message;
}
