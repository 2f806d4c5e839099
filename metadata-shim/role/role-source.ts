import type { Clock } from "../../lib/clock.ts";
import { isForbidden, reasonOf } from "../../lib/errors.ts";
import type { KubeObject } from "../../lib/kube/kube-object.ts";
import { LiveReads } from "../../lib/kube/live-reads.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import type { Soon } from "../../lib/soon.ts";
import type { Caller, HttpTokens } from "../caller/caller.ts";
import { CachedReads, isUsable, whileBoth, type Reading } from "./cached-reads.ts";
import { decideRole, type KnownServiceAccount, type UnreadServiceAccount } from "./decide-role.ts";
import { namespaceRulesOf, type NamespaceRules } from "./namespace-rules.ts";
import { PROFILE_TRAITS } from "./profile.ts";
import type { DecideRole, RoleDecision } from "./role-decision.ts";
import type { RoleSettings } from "./role-settings.ts";

export interface RoleSourceDeps {
  readonly connection: Pick<Transport, "request">;
  readonly settings: RoleSettings;
  /** How soon a change of a ServiceAccount or Namespace shows, in milliseconds. */
  readonly maxAgeMs: number;
  /** Longest wait for the API server. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Pick<Logger, "warn">;
}

/** What is known of ServiceAccounts and Namespaces, and the decisions that follow. */
export interface RoleSource {
  readonly decideRole: DecideRole;
  /** What a namespace says of session tokens; undefined also when it cannot be read. */
  readonly httpTokensOf: (namespace: string) => Soon<HttpTokens | undefined>;
}

const MAY_NOT_READ =
  "May not read ServiceAccounts: pods get the role of their own annotation and no other";

type ServiceAccountFacts = KnownServiceAccount | UnreadServiceAccount;

/**
 * Decides roles by what the API server says of the pod's ServiceAccount and namespace, which are read
 * as metadata when they are needed. It needs the right to get both, and to list or watch neither; in
 * the profiles of kube2iam and kiam namespaces alone will do for pods that name their own role.
 */
export function createRoleSource(deps: RoleSourceDeps): RoleSource {
  const { connection, settings, maxAgeMs, timeoutMs, clock, log } = deps;
  const cached = <T>(
    keep: (object: KubeObject) => T,
    fallbackOf?: (err: unknown) => T | undefined,
  ): CachedReads<T> => {
    const reads = new LiveReads({ connection, keep, timeoutMs, onLiveRead: () => {} });
    return new CachedReads({ reads, fallbackOf, maxAgeMs, clock, log });
  };
  const serviceAccounts = cached<ServiceAccountFacts>(
    serviceAccountKeeper(settings.annotationPrefix),
    PROFILE_TRAITS[settings.profile].readsPodAnnotations
      ? unreadServiceAccounts(settings.annotationPrefix, log)
      : undefined,
  );
  const namespaces = cached(({ metadata }) =>
    namespaceRulesOf(metadata.annotations ?? {}, settings),
  );
  const accountOf = ({ namespace, serviceAccount }: Caller): Soon<Reading<ServiceAccountFacts>> =>
    isSegment(namespace) && isSegment(serviceAccount)
      ? serviceAccounts.get(`namespaces/${namespace}/serviceaccounts/${serviceAccount}`)
      : NOTHING;
  const rulesOf = (namespace: string): Soon<Reading<NamespaceRules>> =>
    isSegment(namespace) ? namespaces.get(`namespaces/${namespace}`) : NOTHING;

  /** What was last decided of a caller, and by what. */
  const decisions = new WeakMap<Caller, Decided>();

  function decide(
    caller: Caller,
    account: Reading<ServiceAccountFacts>,
    rules: Reading<NamespaceRules>,
  ): RoleDecision {
    const known = decisions.get(caller);
    const isSame =
      known !== undefined &&
      known.account.value === account.value &&
      known.rules.value === rules.value;
    const decision = isSame ? known.decision : newDecision(caller, account.value, rules.value);
    decisions.set(caller, { account, rules, decision, use: whileBoth(account.use, rules.use) });
    return decision;
  }

  function newDecision(
    caller: Caller,
    serviceAccount: ServiceAccountFacts | undefined,
    namespace: NamespaceRules | undefined,
  ): RoleDecision {
    // A namespace with pods in it is there: who does not find it knows nothing of its rules.
    if (namespace === undefined) {
      return { status: "unavailable", reason: `Namespace ${caller.namespace} was not found` };
    }
    return decideRole({ caller, serviceAccount, namespace, settings });
  }

  async function decideLater(
    caller: Caller,
    account: Soon<Reading<ServiceAccountFacts>>,
    rules: Soon<Reading<NamespaceRules>>,
  ): Promise<RoleDecision> {
    try {
      const read = await Promise.all([account, rules]);
      return decide(caller, ...read);
    } catch (err) {
      return { status: "unavailable", reason: reasonOf(err) };
    }
  }

  return {
    decideRole: (caller) => {
      if (caller.serviceAccount === "") return { status: "none" };
      const decided = decisions.get(caller);
      // A newer reading that came late meanwhile can wait until one of the two ends.
      if (decided !== undefined && isUsable(decided, clock.now())) return decided.decision;
      const account = accountOf(caller);
      const rules = rulesOf(caller.namespace);
      if (account instanceof Promise || rules instanceof Promise) {
        return decideLater(caller, account, rules);
      }
      return decide(caller, account, rules);
    },
    httpTokensOf: (namespace) => {
      const rules = rulesOf(namespace);
      if (!(rules instanceof Promise)) return rules.value?.httpTokens;
      // The decision about the role tells of a failure.
      return rules.then(
        ({ value }) => value?.httpTokens,
        () => undefined,
      );
    },
  };
}

interface Decided extends Pick<Reading<unknown>, "use"> {
  readonly account: Reading<ServiceAccountFacts>;
  readonly rules: Reading<NamespaceRules>;
  readonly decision: RoleDecision;
}

/** Of a name that no object has. */
const NOTHING: Reading<never> = { value: undefined, use: { fromMs: -Infinity, untilMs: Infinity } };

/** Whether a name is one part of a path, as all names in Kubernetes are. */
function isSegment(name: string): boolean {
  return !name.includes("/");
}

/** What stands for ServiceAccounts that may not be read; the log says once what that means. */
function unreadServiceAccounts(
  annotationPrefix: string,
  log: RoleSourceDeps["log"],
): (err: unknown) => UnreadServiceAccount | undefined {
  const notFollowed = [`${annotationPrefix}/role-arn`, `${annotationPrefix}/audience`];
  let isTold = false;
  return (err) => {
    // Only a refusal says that there is nothing to wait for.
    if (!isForbidden(err)) return undefined;
    const unreadBecause = reasonOf(err);
    if (!isTold) log.warn({ reason: unreadBecause, notFollowed }, MAY_NOT_READ);
    isTold = true;
    return { unreadBecause };
  };
}

/** Reduces a ServiceAccount to what decides about roles. */
export function serviceAccountKeeper(
  annotationPrefix: string,
): (object: KubeObject) => KnownServiceAccount {
  return ({ metadata }) => ({
    uid: metadata.uid ?? "",
    annotations: Object.fromEntries(
      Object.entries(metadata.annotations ?? {}).filter(([key]) =>
        key.startsWith(`${annotationPrefix}/`),
      ),
    ),
  });
}
