import type { Clock } from "../../lib/clock.ts";
import { AccountBudget } from "./account-budget.ts";
import { CredentialCache, type CredentialCacheDeps } from "./credential-cache.ts";
import type { CredentialResult, ObtainCredentials } from "./credentials.ts";
import { createAssumeByNode, type AssumeByNode } from "./assume-by-node.ts";
import { createIssue } from "./issue-credentials.ts";
import { firstPodToken, type PodTokenSource } from "./pod-token.ts";
import type { ReadNodeCredentials } from "./node-credentials.ts";
import type { StsOptions } from "./sts-clients.ts";
import { createStsExchange, type ExchangeToken } from "./sts-exchange.ts";

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
  /** Those that stand in where web identity is denied or has no token; undefined when none may. */
  readonly nodeCredentials?: ReadNodeCredentials | undefined;
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
  const stsOptions = { region, endpoint, caPem, timeoutMs: stsTimeoutMs, clock };
  const sts = resources.use(createStsExchange(stsOptions));
  const { nodeCredentials } = options;
  const node = nodeCredentials && resources.use(createAssumeByNode(stsOptions, nodeCredentials));
  // A budget that went by a clock that is set back would be used up until that has caught up.
  const budget = new AccountBudget({ ...options.budget, clock: { now: monotonicNow }, random });
  const timed = async (
    roleArn: string,
    call: () => Promise<CredentialResult>,
  ): Promise<CredentialResult> => {
    const startMs = monotonicNow();
    const result = await call();
    const errorCode = result.status === "good" ? undefined : result.code;
    const seconds = (monotonicNow() - startMs) / 1000;
    options.onExchange?.({ roleArn, errorCode, seconds });
    return result;
  };
  const exchange: ExchangeToken = (asked) => timed(asked.roleArn, () => sts.exchange(asked));
  const assumeByNode: AssumeByNode | undefined =
    node && ((asked) => timed(asked.roleArn, () => node.assume(asked)));
  const tokenOf = firstPodToken(options.tokenSources);
  const cache = resources.use(
    new CredentialCache({
      issue: createIssue({ tokenOf, exchange, assumeByNode, budget, durationSeconds }),
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
