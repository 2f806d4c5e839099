import type { Clock } from "../../lib/clock.ts";
import type {
  CredentialCaller,
  ObtainCredentials,
} from "../../metadata-shim/credentials/credentials.ts";
import type { DecideRole } from "../../metadata-shim/role/role-decision.ts";

/** Allows every pod one role. */
export function allowEveryPod(roleArn: string): DecideRole {
  return async () => ({
    status: "allowed",
    roleArn,
    shownName: roleArn.slice(roleArn.lastIndexOf("/") + 1),
    otherNames: [],
    audience: "sts.amazonaws.com",
    serviceAccountUid: "sa-uid",
    legacy: false,
  });
}

/** Gives every pod credentials of an hour, whose key names the pod. */
export function giveEveryPod(
  clock: Clock,
  nameOf: (caller: CredentialCaller) => string,
): ObtainCredentials {
  return async ({ caller }) => ({
    status: "good",
    credentials: {
      accessKeyId: `ASIA${nameOf(caller)}`,
      secretAccessKey: "secret",
      sessionToken: "session",
      issuedAtMs: clock.now(),
      expiresAtMs: clock.now() + 3_600_000,
    },
  });
}
