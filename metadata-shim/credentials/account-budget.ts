import { LRUCache } from "lru-cache";
import { backoffMs } from "../../lib/backoff.ts";
import type { Clock } from "../../lib/clock.ts";
import { TokenBucket } from "../../lib/token-bucket.ts";

export interface AccountBudgetOptions {
  /** Calls at once, for each account. */
  readonly burst: number;
  /** Calls in the long run, for each account. */
  readonly perMinute: number;
  readonly clock: Pick<Clock, "now">;
  /** In [0, 1). */
  readonly random: () => number;
}

interface Account {
  readonly bucket: TokenBucket;
  /** Nothing is asked before this time. */
  silentUntilMs: number;
  throttlings: number;
}

const SILENCE = { baseMs: 2000, maxMs: 60_000 };

/** Accounts are remembered so far; roles of more are an attack, and forgetting costs nothing. */
const MAX_ACCOUNTS = 1000;

/**
 * Bounds what this node asks of STS, for each AWS account: quotas of STS are for an account and a
 * region, shared by all nodes. When AWS throttles an account, nothing of this node asks for it again
 * before a pause that grows.
 */
export class AccountBudget {
  readonly #accounts = new LRUCache<string, Account>({ max: MAX_ACCOUNTS });
  readonly #options: AccountBudgetOptions;

  constructor(options: AccountBudgetOptions) {
    this.#options = options;
  }

  /** Takes a call for an account: 0 when it may be made, else how long not, in milliseconds. */
  take(accountId: string): number {
    const account = this.#accountOf(accountId);
    const silentMs = account.silentUntilMs - this.#options.clock.now();
    if (silentMs > 0) return silentMs;
    return account.bucket.take() ? 0 : Math.ceil(60_000 / this.#options.perMinute);
  }

  /** AWS has throttled a call. */
  throttled(accountId: string): void {
    const account = this.#accountOf(accountId);
    account.throttlings += 1;
    const pauseMs = backoffMs(account.throttlings, { ...SILENCE, random: this.#options.random() });
    account.silentUntilMs = this.#options.clock.now() + pauseMs;
  }

  /** AWS has answered a call, whatever it said. */
  answered(accountId: string): void {
    this.#accountOf(accountId).throttlings = 0;
  }

  #accountOf(accountId: string): Account {
    const { burst, perMinute, clock } = this.#options;
    const known = this.#accounts.get(accountId);
    if (known !== undefined) return known;
    const bucket = new TokenBucket({ burst, perMinute, clock });
    const account = { bucket, silentUntilMs: 0, throttlings: 0 };
    this.#accounts.set(accountId, account);
    return account;
  }
}
