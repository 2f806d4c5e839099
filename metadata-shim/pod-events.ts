import type { EventRecorder } from "../lib/kube/events.ts";
import type { CredentialFailure, CredentialRequest } from "./credentials/credentials.ts";

/** Reasons of Events, by whose they are: some have alarms on those of kiam. */
export const EVENT_REASONS = {
  own: { forbidden: "Forbidden", credentialError: "CredentialError" },
  kiam: { forbidden: "KiamRoleForbidden", credentialError: "KiamCredentialError" },
} as const;
export type EventReasons = keyof typeof EVENT_REASONS;

type PodReference = CredentialRequest["caller"];

/** Tells on the pod itself why it gets nothing, where whoever owns the pod looks first. */
export interface PodEvents {
  forbidden(pod: PodReference, reason: string): void;
  credentialError(request: CredentialRequest, failure: CredentialFailure): void;
}

/** Writes Events on pods; the recorder bounds how many, and tells in the log what fails. */
export function createPodEvents(
  recorder: Pick<EventRecorder, "record">,
  reasons: EventReasons,
): PodEvents {
  const warn = (pod: PodReference, reason: string, message: string): void => {
    const { podUid: uid, podName: name, namespace } = pod;
    const regarding = { apiVersion: "v1", kind: "Pod", namespace, name, uid };
    void recorder.record({ regarding, type: "Warning", reason, message });
  };
  const { forbidden, credentialError } = EVENT_REASONS[reasons];
  return {
    forbidden: (pod, reason) => warn(pod, forbidden, reason),
    credentialError: ({ caller, role }, { code, message }) =>
      warn(caller, credentialError, `No credentials of ${role.roleArn}: ${code}: ${message}`),
  };
}
