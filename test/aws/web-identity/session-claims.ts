import { z } from "zod";
import type { Claims } from "./json-web-token.ts";
import { invalidToken, notValidated } from "./refusals.ts";

/** What a token may ask for the session through AWS's own claims. */
export interface SessionClaims {
  readonly tags: ReadonlyMap<string, string>;
  readonly transitiveTagKeys: readonly string[];
  readonly sourceIdentity: string | undefined;
  /** The token lists the role it is for. */
  readonly isRoleAuthorized: boolean;
}

const TAGS = "https://aws.amazon.com/tags";
const FLAT_TAG = `${TAGS}/principal_tags/`;
const FLAT_TRANSITIVE = `${TAGS}/transitive_tag_keys`;

const NestedTags = z.looseObject({
  principal_tags: z.record(z.string(), z.tuple([z.string()])).default({}),
  transitive_tag_keys: z.array(z.string()).default([]),
});
const Texts = z.array(z.string());

/**
 * Reads AWS's claims (IAM User Guide, "Pass session tags in AWS STS").
 *
 * @throws AwsError InvalidIdentityToken when a claim has another shape, or lists roles without this one.
 */
export function sessionClaimsOf(claims: Claims, roleArn: string): SessionClaims {
  const nested = NestedTags.safeParse(claims.get(TAGS) ?? {});
  if (!nested.success) throw badTags();
  const tags = new Map(
    Object.entries(nested.data.principal_tags).map(([key, [value]]) => [key, value]),
  );
  for (const [name, value] of claims) {
    if (!name.startsWith(FLAT_TAG)) continue;
    if (typeof value !== "string") throw badTags();
    tags.set(name.slice(FLAT_TAG.length), value);
  }
  const flat = Texts.safeParse(claims.get(FLAT_TRANSITIVE) ?? []);
  if (!flat.success) throw badTags();
  return {
    tags,
    transitiveTagKeys: [...nested.data.transitive_tag_keys, ...flat.data],
    sourceIdentity: sourceIdentityOf(claims),
    isRoleAuthorized: isRoleAuthorized(claims, roleArn),
  };
}

// STS API, AssumeRoleWithWebIdentity, SourceIdentity: 2 to 64 of these characters.
const SOURCE_IDENTITY = /^[\w+=,.@-]{2,64}$/;

function sourceIdentityOf(claims: Claims): string | undefined {
  const claim = claims.get("https://aws.amazon.com/source_identity");
  if (claim === undefined) return undefined;
  if (typeof claim === "string" && SOURCE_IDENTITY.test(claim)) return claim;
  throw notValidated("source_identity is not 2 to 64 of the allowed characters");
}

function isRoleAuthorized(claims: Claims, roleArn: string): boolean {
  const claim = claims.get("https://aws.amazon.com/roles");
  if (claim === undefined) return false;
  const roles = Texts.safeParse(typeof claim === "string" ? [claim] : claim);
  if (roles.success && roles.data.includes(roleArn)) return true;
  throw notValidated("the roles claim does not list the requested role");
}

function badTags(): Error {
  const message = "principal_tags passed in claim is not in correct format.";
  return invalidToken(message, "session tags of another shape");
}
