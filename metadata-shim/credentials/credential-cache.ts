import { LRUCache } from "lru-cache";
import type { Clock } from "../../lib/clock.ts";
import { credentialKeyOf } from "./credential-key.ts";
import { GOOD_LIFE_MS, hold, LEAST_LIFE_MS, leftMs, type Held } from "./credential-life.ts";
import {
  failed,
  type CredentialFailure,
  type CredentialRequest,
  type CredentialResult,
  type CredentialRole,
  type Credentials,
  type ObtainCredentials,
} from "./credentials.ts";
import type { IssueCredentials } from "./issue-credentials.ts";
import { retryPauseMs } from "./retry-pause.ts";

export interface CredentialCacheDeps {
  readonly issue: IssueCredentials;
  /** What `issue` asks of AWS. */
  readonly durationSeconds: number;
  /** The longest wait of who asks; what was begun goes on without them. */
  readonly patienceMs: number;
  /** Entries beyond this many push out those that were not asked for the longest. */
  readonly maxEntries: number;
  readonly clock: Clock;
  /** Milliseconds by a clock that nobody sets. */
  readonly monotonicNow: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Told of all that AWS issued: the audit. */
  readonly onIssued?: ((request: CredentialRequest, credentials: Credentials) => void) | undefined;
  readonly onFailed?:
    | ((request: CredentialRequest, failure: CredentialFailure) => void)
    | undefined;
}

interface Entry {
  readonly key: string;
  readonly request: CredentialRequest;
  held: Held | undefined;
  /** The last failure since the last success, and until when nothing is tried. */
  failure: CredentialFailure | undefined;
  quietUntilMs: number;
  attempts: number;
  flight: Promise<CredentialResult> | undefined;
  /** Whether anybody asked since `held` came: what nobody wants is not renewed. */
  isWanted: boolean;
  /** How many wait for the flight. */
  waiting: number;
  /** Stops what is planned for this entry. */
  plan: AbortController;
  isGone: boolean;
}

/** False when the plan was replaced meanwhile. */
type Sleep = (ms: number) => Promise<boolean>;

/** How long a failure is remembered after its pause, so that the next pause is longer. */
const FAILURE_MEMORY_MS = 120_000;

/**
 * Credentials of the pods of this node, one entry for each pod, ServiceAccount, role and audience.
 *
 * - Who asks at the same time shares one call, which does not belong to any of them: one that goes
 *   away takes nothing from the others.
 * - What is asked for is renewed in the background at half its life, so that who asks gets at least
 *   `GOOD_LIFE_MS`, at once. When renewing fails, the old credentials serve until `LEAST_LIFE_MS`.
 * - A failure is kept for a short time that grows, and told to who asks meanwhile.
 */
export class CredentialCache implements Disposable {
  readonly #deps: CredentialCacheDeps;
  readonly #entries: LRUCache<string, Entry>;
  /** Those of requests that were made before: a decision of a role stays the same object. */
  readonly #keys = new WeakMap<CredentialRole, { readonly podUid: string; readonly key: string }>();

  constructor(deps: CredentialCacheDeps) {
    this.#deps = deps;
    this.#entries = new LRUCache({ max: deps.maxEntries, dispose: endEntry });
  }

  /** Entries there are, also such that failed. */
  get size(): number {
    return this.#entries.size;
  }

  /** Credentials with more than `LEAST_LIFE_MS` of life, or why there are none. */
  readonly obtain: ObtainCredentials = (request) => {
    const entry = this.#entryOf(request);
    entry.isWanted = true;
    const isQuiet = this.#quietMs(entry) > 0;
    const lifeMs = entry.held === undefined ? 0 : this.#leftMs(entry.held);
    const needMs = entry.failure === undefined ? GOOD_LIFE_MS : LEAST_LIFE_MS + 1;
    if (entry.held !== undefined && lifeMs >= needMs) {
      if (!isQuiet && lifeMs <= entry.held.renewBelowMs) void this.#start(entry);
      return { status: "good", credentials: entry.held.credentials };
    }
    if (entry.flight === undefined && isQuiet) return this.#best(entry);
    return this.#wait(entry);
  };

  /** Drops all that is kept for a pod that is no more. */
  forgetPod(podUid: string): void {
    const own = [...this.#entries.values()].filter(
      ({ request }) => request.caller.podUid === podUid,
    );
    for (const entry of own) this.#drop(entry);
  }

  [Symbol.dispose](): void {
    this.#entries.clear();
  }

  #entryOf(request: CredentialRequest): Entry {
    const key = this.#keyOf(request);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    this.#dropOtherRoles(request);
    const entry: Entry = {
      key,
      request,
      held: undefined,
      failure: undefined,
      quietUntilMs: 0,
      attempts: 0,
      flight: undefined,
      isWanted: true,
      waiting: 0,
      plan: new AbortController(),
      isGone: false,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  /** A pod has one role in the same way at a time: what it had by another is of no use any more. */
  #dropOtherRoles({ caller: { podUid }, role: wanted }: CredentialRequest): void {
    const others = [...this.#entries.values()].filter(
      ({ request: { caller, role } }) =>
        caller.podUid === podUid &&
        role.audience === wanted.audience &&
        // Its annotation may name one, and its ServiceAccount another for container credentials.
        (role.legacy ?? false) === (wanted.legacy ?? false) &&
        role.roleArn !== wanted.roleArn,
    );
    for (const entry of others) this.#drop(entry);
  }

  #keyOf(request: CredentialRequest): string {
    const { podUid } = request.caller;
    const known = this.#keys.get(request.role);
    if (known?.podUid === podUid) return known.key;
    const key = credentialKeyOf(request);
    this.#keys.set(request.role, { podUid, key });
    return key;
  }

  async #wait(entry: Entry): Promise<CredentialResult> {
    const patience = new AbortController();
    entry.waiting += 1;
    try {
      const result = await Promise.race([
        this.#start(entry),
        this.#deps.clock.sleep(this.#deps.patienceMs, patience.signal).then(() => undefined),
      ]);
      if (entry.isGone) return gone();
      return result?.status === "good" ? result : this.#best(entry);
    } finally {
      entry.waiting -= 1;
      patience.abort();
    }
  }

  /** What there is without new credentials: the old ones as long as they live, else the failure. */
  #best(entry: Entry): CredentialResult {
    const { held, failure } = entry;
    if (held !== undefined && this.#leftMs(held) > LEAST_LIFE_MS) {
      return { status: "good", credentials: held.credentials };
    }
    if (failure === undefined) {
      const message = "STS has not answered yet";
      return failed({ kind: "unavailable", code: "Pending", message, retryAfterMs: 1000 });
    }
    return failed({ ...failure, retryAfterMs: Math.max(0, this.#quietMs(entry)) });
  }

  /** Gets new credentials, unless that is under way. Never rejects. */
  #start(entry: Entry): Promise<CredentialResult> {
    entry.flight ??= this.#renew(entry).finally(() => {
      entry.flight = undefined;
    });
    return entry.flight;
  }

  async #renew(entry: Entry): Promise<CredentialResult> {
    const { issue, onIssued, onFailed } = this.#deps;
    const result = await issue(entry.request);
    if (result.status === "good") onIssued?.(entry.request, result.credentials);
    else onFailed?.(entry.request, result);
    // Whoever has the pod's address by now must not get what its predecessor asked for.
    if (entry.isGone) return gone();
    return result.status === "good" ? this.#keep(entry, result) : this.#failed(entry, result);
  }

  #keep(entry: Entry, result: CredentialResult & { status: "good" }): CredentialResult {
    const { durationSeconds, random, monotonicNow } = this.#deps;
    const held = hold(result.credentials, {
      durationMs: durationSeconds * 1000,
      random: random(),
      monotonicMs: monotonicNow(),
    });
    if (this.#leftMs(held) <= LEAST_LIFE_MS) {
      const message = "STS gave credentials that end at once: is the clock of this node right?";
      return this.#failed(entry, { kind: "unavailable", code: "CredentialsExpired", message });
    }
    entry.isWanted = entry.waiting > 0;
    entry.held = held;
    entry.failure = undefined;
    entry.attempts = 0;
    entry.quietUntilMs = 0;
    this.#planRenewal(entry, held);
    return result;
  }

  #failed(entry: Entry, failure: CredentialFailure): CredentialResult {
    const { monotonicNow, random } = this.#deps;
    entry.attempts += 1;
    entry.failure = failure;
    const pauseMs = retryPauseMs(failure, entry.attempts, random());
    entry.quietUntilMs = monotonicNow() + pauseMs;
    this.#planRetry(entry, pauseMs);
    return failed({ ...failure, retryAfterMs: pauseMs });
  }

  #planRenewal(entry: Entry, held: Held): void {
    this.#plan(entry, async (sleep) => {
      if (!(await sleep(this.#leftMs(held) - held.renewBelowMs))) return;
      await this.#renewOrEnd(entry, held, sleep);
    });
  }

  #planRetry(entry: Entry, pauseMs: number): void {
    const { held } = entry;
    this.#plan(entry, async (sleep) => {
      if (!(await sleep(pauseMs))) return;
      if (held !== undefined && this.#leftMs(held) > LEAST_LIFE_MS) {
        await this.#renewOrEnd(entry, held, sleep);
        return;
      }
      // Nothing to keep alive: the next who asks is a try of its own, the secrets go now.
      entry.held = undefined;
      if (await sleep(FAILURE_MEMORY_MS)) this.#end(entry);
    });
  }

  async #renewOrEnd(entry: Entry, held: Held, sleep: Sleep): Promise<void> {
    if (entry.isWanted) await this.#start(entry);
    else if (await sleep(this.#leftMs(held) - LEAST_LIFE_MS)) this.#end(entry);
  }

  /** Replaces what was planned for an entry. */
  #plan(entry: Entry, act: (sleep: Sleep) => Promise<void>): void {
    entry.plan.abort();
    entry.plan = new AbortController();
    const { signal } = entry.plan;
    void act(async (ms) => {
      await this.#deps.clock.sleep(Math.max(0, ms), signal);
      return !signal.aborted;
    });
  }

  #end(entry: Entry): void {
    // Else somebody waits for what is on its way, which makes a plan of its own.
    if (entry.flight === undefined) this.#drop(entry);
  }

  #drop(entry: Entry): void {
    if (this.#entries.peek(entry.key) === entry) this.#entries.delete(entry.key);
  }

  /** How long nothing is tried, in milliseconds; 0 or less when something may be. */
  #quietMs(entry: Entry): number {
    return entry.quietUntilMs - this.#deps.monotonicNow();
  }

  #leftMs(held: Held): number {
    const { clock, monotonicNow } = this.#deps;
    return leftMs(held, { nowMs: clock.now(), monotonicMs: monotonicNow() });
  }
}

/** Of one that is no longer kept, for whatever reason. */
function endEntry(entry: Entry): void {
  entry.isGone = true;
  entry.plan.abort();
  entry.held = undefined;
}

function gone(): CredentialResult {
  const message = "Nothing is kept for this pod any more";
  return failed({ kind: "unavailable", code: "PodGone", message });
}
