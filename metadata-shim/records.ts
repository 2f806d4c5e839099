import type { Logger } from "../lib/log.ts";
import type { Caller, PodReference } from "./caller/caller.ts";
import type { KnownPod } from "./caller/known-pod.ts";
import type {
  CredentialFailure,
  CredentialRequest,
  Credentials,
} from "./credentials/credentials.ts";
import { metadataTime } from "./imds/documents.ts";
import type { ShimMetrics } from "./metrics.ts";
import type { PodEvents } from "./pod-events.ts";

/** What is written down of what pods get and do not get: in the log, as a number, on the pod. */
export interface Records {
  /** STS gave credentials: the audit. Who has a key id finds the pod by this line. */
  readonly issued: (request: CredentialRequest, credentials: Credentials) => void;
  /** STS gave none, or there was no token to show it. */
  readonly failed: (request: CredentialRequest, failure: CredentialFailure) => void;
  /** A pod asked for what a policy forbids, or for another role than its own. */
  readonly forbidden: (caller: Caller, reason: string) => void;
  /** A connection showed the address of a pod and was not the pod's. */
  readonly foreign: (pod: KnownPod, address: string) => void;
  /** Pods have one address, so that none of them gets anything. */
  readonly ambiguous: (pods: readonly PodReference[], address: string) => void;
}

const LEGACY_WARNING =
  "The node's own rights gave credentials: let the role's trust policy trust the ServiceAccount, and the pod have a token";

/** Writes it down; never a secret, a token or the text of one. */
export function createRecords({
  log,
  metrics,
  events,
}: {
  readonly log: Pick<Logger, "info" | "warn">;
  readonly metrics: Pick<
    ShimMetrics,
    "issued" | "legacyIssued" | "credentialErrors" | "forbidden" | "foreignConnections"
  >;
  readonly events: PodEvents;
}): Records {
  /** Roles for which it was told that the node gave their credentials. */
  const warned = new Set<string>();
  return {
    issued(request, { accessKeyId, expiresAtMs, isByNode = false }) {
      metrics.issued.inc();
      const expiration = metadataTime(expiresAtMs);
      const by = isByNode ? { legacy: true } : {};
      log.info({ ...factsOf(request), accessKeyId, expiration, ...by }, "Issued credentials");
      if (!isByNode) return;
      const { roleArn: role } = request.role;
      metrics.legacyIssued.inc({ role });
      if (warned.has(role)) return;
      warned.add(role);
      log.warn({ ...factsOf(request) }, LEGACY_WARNING);
    },
    failed(request, failure) {
      const { kind, code, message: problem } = failure;
      metrics.credentialErrors.inc({ kind });
      log.warn({ ...factsOf(request), kind, code, problem }, "Cannot issue credentials");
      events.credentialError(request, failure);
    },
    forbidden(caller, reason) {
      metrics.forbidden.inc();
      events.forbidden(caller, reason);
    },
    foreign({ uid: podUid, namespace, name: pod }, address) {
      metrics.foreignConnections.inc();
      log.warn({ podUid, namespace, pod, address }, "A connection only shows the address of a pod");
    },
    ambiguous: (pods, address) => events.ambiguousAddress(pods, address),
  };
}

function factsOf({ caller, role }: CredentialRequest): Readonly<Record<string, string>> {
  const { podUid, podName: pod, namespace, serviceAccount } = caller;
  return { podUid, namespace, pod, serviceAccount, roleArn: role.roleArn };
}
