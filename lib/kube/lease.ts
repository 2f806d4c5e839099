import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError, reasonOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { refusalText } from "./api-status.ts";
import { claimed, holderOf, LeaseObject, released, signOfLife } from "./lease-object.ts";
import { LeaseTasks, type LeaseTask } from "./lease-tasks.ts";
import type { KubeAnswer, Transport } from "./transport.ts";

export type { LeaseTask } from "./lease-tasks.ts";

export interface LeaseOptions {
  readonly connection: Pick<Transport, "request">;
  readonly namespace: string;
  readonly name: string;
  /**
   * Name of this replica, for humans. Something random is added, so that a second process of the
   * same name is another holder.
   */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** How long a holder that is silent keeps it; 15 when absent, as in client-go. */
  readonly durationSeconds?: number | undefined;
  /** A number in [0, 1); spreads the tries of replicas. */
  readonly random?: (() => number) | undefined;
  /** Gives it up and stops asking for it. Disposing does that too, and waits for it. */
  readonly signal?: AbortSignal | undefined;
}

/** A claim to be the only one of several replicas; it is upheld until it is disposed. */
export interface Lease extends AsyncDisposable {
  /** Whether this replica is the one, now. */
  readonly held: boolean;
  /** Who holds it as this replica, by name and something random. */
  readonly identity: string;
  /**
   * Runs the task while this replica is the holder. Its signal aborts when that ends; the task must
   * then end soon. A task that throws is started anew after a while, one that ends is done until the
   * Lease is won again. It never runs twice at once.
   */
  whileHeld(task: LeaseTask): void;
}

/**
 * Starts to ask for a Lease (`coordination.k8s.io/v1`), and goes on until it is stopped, whatever
 * fails. Needs `get`, `create` and `update` of leases in the namespace.
 *
 * The rules are those of client-go's leader election. Replicas do not compare clocks: one that waits
 * takes over when it has seen no sign of life for the whole duration, by its own time. The holder
 * counts itself out after two thirds of the duration, from the moment it sent its last good renewal.
 */
export function startLease(options: LeaseOptions): Lease {
  return new Candidate(options);
}

const DEFAULT_DURATION_SECONDS = 15;
/** Of the duration, as client-go's 15 s, 10 s and 2 s. */
const RENEW_DEADLINE_PART = 10 / 15;
const RETRY_PART = 2 / 15;
/** Those who wait ask at intervals spread by this much (client-go, JitterFactor). */
const JITTER_FACTOR = 1.2;

/** A span of time that a timer measures, since the wall clock may be set while it runs. */
interface Span {
  over: boolean;
  readonly cancel: AbortController;
}

class Candidate implements Lease {
  readonly identity: string;
  readonly #options: LeaseOptions;
  readonly #path: string;
  readonly #tasks: LeaseTasks;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #durationSeconds: number;
  readonly #renewDeadlineMs: number;
  readonly #retryMs: number;
  /** The object as last read or written; undefined asks for a read. */
  #known: LeaseObject | undefined;
  /** What another holder last said, and how long that counts. */
  #other: { readonly sign: string; readonly span: Span } | undefined;
  /** Our term: since when by the wall clock, and how long that counts. */
  #term: { readonly sinceMs: number; readonly span: Span } | undefined;
  #lastProblem = "";

  constructor(options: LeaseOptions) {
    const { clock, log, random = Math.random, namespace, signal } = options;
    this.#options = options;
    this.identity = `${options.identity}_${randomUUID()}`;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
    this.#durationSeconds = options.durationSeconds ?? DEFAULT_DURATION_SECONDS;
    this.#renewDeadlineMs = this.#durationSeconds * 1000 * RENEW_DEADLINE_PART;
    this.#retryMs = this.#durationSeconds * 1000 * RETRY_PART;
    this.#tasks = new LeaseTasks({ clock, random, log });
    signal?.addEventListener("abort", this.#abort, { once: true });
    if (signal?.aborted === true) this.#abort();
    this.#running = this.#run();
  }

  get held(): boolean {
    if (this.#term === undefined || this.#stop.signal.aborted) return false;
    const { span, sinceMs } = this.#term;
    // A process that stood still may get here before its timers do.
    return !span.over && this.#options.clock.now() - sinceMs < this.#renewDeadlineMs;
  }

  whileHeld(task: LeaseTask): void {
    this.#tasks.add(task);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort();
    await this.#running;
  }

  // A field, since it is a listener that is taken away again.
  readonly #abort = (): void => this.#stop.abort();

  async #run(): Promise<void> {
    const { clock, random = Math.random, signal } = this.#options;
    while (!this.#stop.signal.aborted) {
      await this.#round();
      const spread = this.#term === undefined ? 1 + JITTER_FACTOR * random() : 1;
      await clock.sleep(this.#retryMs * spread, this.#stop.signal);
    }
    signal?.removeEventListener("abort", this.#abort);
    await this.#giveUp();
    this.#other?.span.cancel.abort();
  }

  /** One try to win or renew it; tells of a failure once, until it is another one. */
  async #round(): Promise<void> {
    try {
      await this.#claim();
      this.#lastProblem = "";
    } catch (err) {
      if (this.#stop.signal.aborted) return;
      this.#known = undefined;
      const problem = reasonOf(err);
      const level = problem === this.#lastProblem ? "debug" : "warn";
      this.#lastProblem = problem;
      this.#options.log[level]({ lease: this.#id, problem }, "Cannot claim the lease");
    }
  }

  async #claim(): Promise<void> {
    const lease = this.#known ?? (await this.#read());
    this.#known = undefined;
    // A Lease that was deleted says nothing about who held it.
    if (lease === undefined && this.#other?.span.over === false) return;
    if (lease !== undefined) {
      const holder = holderOf(lease);
      const isOurs = holder === this.identity;
      if (!isOurs && this.#term !== undefined) this.#lose(`it is held by ${holder ?? "nobody"}`);
      if (!isOurs && holder !== undefined && !this.#isSilent(lease)) return;
    }
    const { namespace, name, clock } = this.#options;
    const sinceMs = clock.now();
    const span = this.#startSpan(this.#renewDeadlineMs);
    try {
      const durationSeconds = this.#durationSeconds;
      const claim = { namespace, name, nowMs: sinceMs, durationSeconds, identity: this.identity };
      const written = await this.#write(lease, claimed(lease, claim));
      if (written === undefined) {
        span.cancel.abort();
        return;
      }
      this.#known = written;
    } catch (err) {
      span.cancel.abort();
      throw err;
    }
    // An answer that came too late proves nothing: another may have waited long enough meanwhile.
    if (span.over || clock.now() - sinceMs >= this.#renewDeadlineMs) {
      span.cancel.abort();
      return this.#lose("the answer came too late");
    }
    this.#hold(sinceMs, span);
  }

  #hold(sinceMs: number, span: Span): void {
    const isNew = this.#term === undefined;
    this.#term?.span.cancel.abort();
    this.#other?.span.cancel.abort();
    this.#other = undefined;
    this.#term = { sinceMs, span };
    if (!isNew) return;
    this.#options.log.info({ lease: this.#id, identity: this.identity }, "Holding the lease");
    this.#tasks.start();
  }

  #lose(reason: string): void {
    if (this.#term === undefined) return;
    this.#term.span.cancel.abort();
    this.#term = undefined;
    this.#options.log.warn({ lease: this.#id, reason }, "Lost the lease");
    this.#tasks.abort();
  }

  /** Whether another holder has shown no sign of life for its whole duration, by our own time. */
  #isSilent(lease: LeaseObject): boolean {
    const sign = signOfLife(lease);
    if (this.#other?.sign === sign) return this.#other.span.over;
    this.#other?.span.cancel.abort();
    const seconds = lease.spec?.leaseDurationSeconds ?? this.#durationSeconds;
    this.#other = { sign, span: this.#startSpan(seconds * 1000) };
    return false;
  }

  #startSpan(ms: number): Span {
    const span: Span = { over: false, cancel: new AbortController() };
    void this.#endSpan(span, ms);
    return span;
  }

  async #endSpan(span: Span, ms: number): Promise<void> {
    await this.#options.clock.sleep(ms, span.cancel.signal);
    if (span.cancel.signal.aborted) return;
    span.over = true;
    if (this.#term?.span === span) this.#lose("it could not be renewed in time");
  }

  /** Ends the work first; a Lease whose work goes on is left to run out. */
  async #giveUp(): Promise<void> {
    this.#tasks.abort();
    await this.#tasks.whenEnded();
    const wasOurs = this.#term !== undefined && !this.#term.span.over;
    this.#term?.span.cancel.abort();
    this.#term = undefined;
    if (!wasOurs) return;
    try {
      await this.#release();
      this.#options.log.info({ lease: this.#id }, "Released the lease");
    } catch (err) {
      const problem = reasonOf(err);
      this.#options.log.warn({ lease: this.#id, problem }, "Cannot release the lease");
    }
  }

  async #release(): Promise<void> {
    const lease = this.#known ?? (await this.#read({ stopping: true }));
    if (lease === undefined || holderOf(lease) !== this.identity) return;
    const body = released(lease, this.#options.clock.now());
    if ((await this.#write(lease, body, { stopping: true })) !== undefined) return;
    throw new AppError("KUBERNETES_REFUSED", 503, "It was changed at the same time");
  }

  async #read({ stopping = false } = {}): Promise<LeaseObject | undefined> {
    const answer = await this.#ask({ path: `${this.#path}/${this.#options.name}` }, stopping);
    return answer.status === 404 ? undefined : this.#objectOf(answer);
  }

  /** @returns undefined when somebody else has written it since it was read. */
  async #write(
    lease: LeaseObject | undefined,
    body: object,
    { stopping = false } = {},
  ): Promise<LeaseObject | undefined> {
    const call =
      lease === undefined
        ? { method: "POST", path: this.#path, body }
        : { method: "PUT", path: `${this.#path}/${this.#options.name}`, body };
    const answer = await this.#ask(call, stopping);
    // 404 to an update: it has been deleted.
    if (answer.status === 409 || (lease !== undefined && answer.status === 404)) return undefined;
    return this.#objectOf(answer);
  }

  #ask(
    call: { readonly method?: string; readonly path: string; readonly body?: object },
    stopping = false,
  ): Promise<KubeAnswer> {
    // Half of the deadline leaves time for a second try.
    return this.#options.connection.request({
      ...call,
      timeoutMs: this.#renewDeadlineMs / 2,
      signal: stopping ? undefined : this.#stop.signal,
    });
  }

  #objectOf({ status, body }: KubeAnswer): LeaseObject {
    const parsed = LeaseObject.safeParse(body);
    if ((status === 200 || status === 201) && parsed.success) return parsed.data;
    const problem =
      status < 300 ? "the answer is no Lease" : `the API server ${refusalText(status, body)}`;
    throw new AppError("KUBERNETES_REFUSED", 503, `Cannot use lease ${this.#id}: ${problem}`);
  }

  get #id(): string {
    return `${this.#options.namespace}/${this.#options.name}`;
  }
}
