import { AwsError } from "../protocol/aws-error.ts";
import type { XmlFields } from "../protocol/xml.ts";
import type { Role, Session, Store } from "../store.ts";
import { newAccessKey, newSessionToken } from "../unique-ids.ts";

/** Makes credentials for a session of a role and remembers them. */
export function issueSession(
  store: Store,
  wanted: {
    readonly role: Role;
    readonly sessionName: string;
    readonly expiresAtMs: number;
    readonly session: Session;
  },
): {
  readonly accessKeyId: string;
  readonly assumedRoleUser: XmlFields;
  readonly credentials: XmlFields;
} {
  const { role, sessionName, session } = wanted;
  const [, partition = "", , , accountId = ""] = role.arn.split(":");
  // The ARN of a session has the role's name without its path.
  const arn = `arn:${partition}:sts::${accountId}:assumed-role/${role.name}/${sessionName}`;
  const userId = `${role.id}:${sessionName}`;
  const key = newAccessKey("ASIA");
  const sessionToken = newSessionToken();
  // Expiration has no fraction on the wire, so the credentials end where it says.
  const expiresAtMs = Math.floor(wanted.expiresAtMs / 1000) * 1000;
  store.credentials.set(key.accessKeyId, {
    ...key,
    sessionToken,
    expiresAtMs,
    principal: { kind: "session", accountId, arn, userId },
    session,
  });
  return {
    accessKeyId: key.accessKeyId,
    assumedRoleUser: { Arn: arn, AssumedRoleId: userId },
    credentials: {
      AccessKeyId: key.accessKeyId,
      SecretAccessKey: key.secretAccessKey,
      SessionToken: sessionToken,
      Expiration: new Date(expiresAtMs).toISOString().replace(".000Z", "Z"),
    },
  };
}

/** What was seen on the wire for a session without policies and tags, in percent. */
const EMPTY_PERCENT = 25;
const PACKED_CHARACTERS = 2048;

/**
 * How much of the packed size policies and tags take, in percent: a rough estimate, AWS does not
 * tell how it packs.
 *
 * @throws AwsError PackedPolicyTooLarge above 100
 */
export function packedPolicySize(texts: readonly string[]): number {
  const characters = texts.join("").length;
  const percent =
    EMPTY_PERCENT + Math.ceil((characters / PACKED_CHARACTERS) * (100 - EMPTY_PERCENT));
  if (percent <= 100) return percent;
  const message = `Packed size of session tags and policies consumes ${percent}% of allotted space.`;
  throw new AwsError("PackedPolicyTooLarge", 400, message);
}
