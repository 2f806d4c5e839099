import type { EventRecorder } from "../lib/kube/events.ts";
import type { PodReference } from "./caller/caller.ts";
import type { CredentialFailure, CredentialRequest } from "./credentials/credentials.ts";

/** Reasons of Events, by whose they are: some have alarms on those of kiam. */
export const EVENT_REASONS = {
  own: {
    forbidden: "Forbidden",
    credentialError: "CredentialError",
    ambiguousAddress: "AmbiguousAddress",
  },
  // kiam has no word for the last: its alarms on missing credentials are to see it.
  kiam: {
    forbidden: "KiamRoleForbidden",
    credentialError: "KiamCredentialError",
    ambiguousAddress: "KiamCredentialError",
  },
} as const;
export type EventReasons = keyof typeof EVENT_REASONS;

type EventPod = Pick<CredentialRequest["caller"], "podUid" | "podName" | "namespace">;

/** Tells on the pod itself why it gets nothing, where whoever owns the pod looks first. */
export interface PodEvents {
  forbidden(pod: EventPod, reason: string): void;
  credentialError(request: CredentialRequest, failure: CredentialFailure): void;
  /** On each of the pods that have the address. */
  ambiguousAddress(pods: readonly PodReference[], address: string): void;
}

/** Writes Events on pods; the recorder bounds how many, and tells in the log what fails. */
export function createPodEvents(
  recorder: Pick<EventRecorder, "record">,
  reasons: EventReasons,
): PodEvents {
  const warn = (pod: EventPod, reason: string, message: string): void => {
    const { podUid: uid, podName: name, namespace } = pod;
    const regarding = { apiVersion: "v1", kind: "Pod", namespace, name, uid };
    void recorder.record({ regarding, type: "Warning", reason, message });
  };
  const { forbidden, credentialError, ambiguousAddress } = EVENT_REASONS[reasons];
  return {
    forbidden: (pod, reason) => warn(pod, forbidden, reason),
    credentialError: ({ caller, role }, { code, message }) =>
      warn(caller, credentialError, `No credentials of ${role.roleArn}: ${code}: ${message}`),
    ambiguousAddress(pods, address) {
      const all = pods.map(({ namespace, name }) => `${namespace}/${name}`).toSorted();
      const message = `No credentials: ${address} is the address of ${all.join(" and ")}`;
      for (const { uid: podUid, name: podName, namespace } of pods) {
        warn({ podUid, podName, namespace }, ambiguousAddress, message);
      }
    },
  };
}
