import type { CredentialRequest } from "./credentials.ts";

/**
 * What credentials are kept by: all that decides whose they are and what AWS was asked. Never the
 * address of the pod, which another may have next, and never the role alone, which others have too.
 */
export function credentialKeyOf({ caller, role }: CredentialRequest): string {
  return JSON.stringify([
    caller.podUid,
    // No text, so that it is no ServiceAccount's.
    role.serviceAccountUid ?? null,
    role.roleArn,
    role.audience,
    role.sessionName ?? "",
    role.externalId ?? "",
    role.legacy ?? false,
  ]);
}
