import type { Clock } from "../../lib/clock.ts";
import { AccountBudget } from "./account-budget.ts";
import { CredentialCache, type CredentialCacheDeps } from "./credential-cache.ts";
import type { ObtainCredentials } from "./credentials.ts";
import { createIssue } from "./issue-credentials.ts";
import { firstPodToken, type PodTokenSource } from "./pod-token.ts";
import { createStsExchange, type ExchangeToken, type StsOptions } from "./sts-exchange.ts";

/** The credentials of all pods of this node. */
export interface RunningCredentials extends Disposable {
  readonly obtain: ObtainCredentials;
  forgetPod(podUid: string): void;
  /** Entries that are kept, also such of failures. */
  readonly size: number;
}

export interface CredentialsOptions
  extends
    Pick<CredentialCacheDeps, "patienceMs" | "durationSeconds" | "onIssued" | "onFailed">,
    Pick<StsOptions, "region" | "endpoint" | "caPem"> {
  /** Asked in this order. */
  readonly tokenSources: readonly PodTokenSource[];
  /** Longest call of STS, which itself asks the issuer for up to 5 s. */
  readonly stsTimeoutMs: number;
  /** Calls of STS for each AWS account, at once and in the long run. */
  readonly budget: { readonly burst: number; readonly perMinute: number };
  readonly clock: Clock;
  readonly monotonicNow: () => number;
  readonly random: () => number;
  /** Told of each call of STS. */
  readonly onExchange?: ((facts: ExchangeFacts) => void) | undefined;
}

/** One call of STS. */
export interface ExchangeFacts {
  readonly roleArn: string;
  /** Undefined when it gave credentials, else the code of the error. */
  readonly errorCode: string | undefined;
  readonly seconds: number;
}

/** A node has some hundred pods at most, and pods of a few ServiceAccounts each. */
const MAX_ENTRIES = 4096;

/** Puts the way from a pod's token to credentials together. Disposing ends what is planned. */
export function startCredentials(options: CredentialsOptions): RunningCredentials {
  const { clock, monotonicNow, random, durationSeconds } = options;
  const { region, endpoint, caPem, stsTimeoutMs } = options;
  using resources = new DisposableStack();
  const sts = resources.use(
    createStsExchange({ region, endpoint, caPem, timeoutMs: stsTimeoutMs, clock }),
  );
  // A budget that went by a clock that is set back would be used up until that has caught up.
  const budget = new AccountBudget({ ...options.budget, clock: { now: monotonicNow }, random });
  const exchange: ExchangeToken = async (asked) => {
    const startMs = monotonicNow();
    const result = await sts.exchange(asked);
    const errorCode = result.status === "good" ? undefined : result.code;
    const seconds = (monotonicNow() - startMs) / 1000;
    options.onExchange?.({ roleArn: asked.roleArn, errorCode, seconds });
    return result;
  };
  const tokenOf = firstPodToken(options.tokenSources);
  const cache = resources.use(
    new CredentialCache({
      issue: createIssue({ tokenOf, exchange, budget, durationSeconds }),
      durationSeconds,
      patienceMs: options.patienceMs,
      maxEntries: MAX_ENTRIES,
      clock,
      monotonicNow,
      random,
      onIssued: options.onIssued,
      onFailed: options.onFailed,
    }),
  );
  const running = resources.move();
  return {
    obtain: cache.obtain,
    forgetPod: (podUid) => cache.forgetPod(podUid),
    get size() {
      return cache.size;
    },
    [Symbol.dispose]: () => running.dispose(),
  };
}
