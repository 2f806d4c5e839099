import { parseRoleArn, type RoleArn } from "../../../lib/arn.ts";
import type { WebIdentityFacts } from "../call-log.ts";
import type { KeySource } from "../identity-provider/key-source.ts";
import { isTrusted } from "../policy/trust-decision.ts";
import { AwsError } from "../protocol/aws-error.ts";
import type { CallFacts, QueryAction } from "../protocol/query-action.ts";
import type { XmlFields } from "../protocol/xml.ts";
import type { Account, Provider, Role, Store } from "../store.ts";
import { assertCurrent, audienceOf, issuerOf, subjectOf } from "../web-identity/claims.ts";
import { decodeJsonWebToken, type JsonWebToken } from "../web-identity/json-web-token.ts";
import { cannotRetrieveKey, invalidToken, notAuthorized } from "../web-identity/refusals.ts";
import { sessionClaimsOf } from "../web-identity/session-claims.ts";
import { algorithmOf, assertSignature } from "../web-identity/signature.ts";
import { selectKey } from "../web-identity/signing-key.ts";
import { trustRequestOf } from "../web-identity/trust-request.ts";
import { readAssumeRoleParameters, type AssumeRoleParameters } from "./parameters.ts";
import { issueSession, packedPolicySize } from "./session.ts";

export interface AssumeRoleDeps {
  readonly store: Store;
  readonly keySource: KeySource;
  /** How old a role must be before it can be assumed, in seconds. */
  readonly propagationDelaySeconds: () => number;
}

/**
 * The action AssumeRoleWithWebIdentity: a token of an issuer that the role's account knows, and that
 * the role trusts, for credentials.
 *
 * AWS does not document the order of the checks; here it is provider, audience, keys, signature,
 * times, role.
 */
export function assumeRoleWithWebIdentity(deps: AssumeRoleDeps): QueryAction {
  return {
    access: "unsigned",
    async run({ parameters, headers, nowMs, facts }) {
      const asked = readAssumeRoleParameters(parameters);
      const roleArn = parseRoleArn(asked.roleArn);
      if (roleArn === undefined)
        throw new AwsError("ValidationError", 400, "Request ARN is invalid");
      facts.accountId = roleArn.accountId;
      facts.role = asked.roleArn;
      if (headers.has("x-amz-security-token")) {
        throw cannotRetrieveKey("the call carries X-Amz-Security-Token, which must not be there");
      }
      if (asked.providerId !== undefined) throw refuseProviderId(asked.providerId);

      const token = decodeJsonWebToken(asked.webIdentityToken);
      facts.webIdentity = claimedBy(token);
      const account = deps.store.accounts.get(roleArn.accountId);
      const provider = providerOf(account, issuerOf(token.claims));
      const audience = audienceOf(token.claims, provider.clientIds);
      facts.webIdentity = { ...facts.webIdentity, audience: audience.audience };
      await verifySignature(token, provider, deps.keySource);
      assertCurrent(token.claims, Math.floor(nowMs / 1000));
      const subject = subjectOf(token.claims);
      facts.webIdentity = { ...facts.webIdentity, subject, isVerified: true };

      const session = sessionClaimsOf(token.claims, asked.roleArn);
      const role = assumableRole(account, roleArn, asked.roleArn);
      const request = trustRequestOf({
        ...audience,
        provider,
        accountId: roleArn.accountId,
        roleSessionName: asked.roleSessionName,
        subject,
        claims: token.claims,
        session,
      });
      if (nowMs < role.createdAtMs + deps.propagationDelaySeconds() * 1000) {
        throw notAuthorized("the role is too new: fault propagationDelaySeconds");
      }
      if (!isTrusted(role.trustPolicy, request)) {
        throw notAuthorized("the role's trust policy does not allow it");
      }
      checkDuration(asked, role);
      const granted = { deps, asked, role, provider, subject, session, nowMs, ...audience };
      const { keyId, fields } = answer(granted);
      facts.issuedKeyId = keyId;
      return fields;
    },
  };
}

function providerOf(account: Account | undefined, issuer: string): Provider {
  // The provider's URL is kept without its scheme; only https can have been registered.
  const url = issuer.startsWith("https://") ? issuer.slice("https://".length) : undefined;
  const provider = url === undefined ? undefined : account?.providers.get(url);
  if (provider !== undefined) return provider;
  const message = `No OpenIDConnect provider found in your account for ${issuer}`;
  throw invalidToken(message, "no provider for the token's issuer in the role's account");
}

async function verifySignature(
  token: JsonWebToken,
  provider: Provider,
  keySource: KeySource,
): Promise<void> {
  const { kty, crv } = algorithmOf(token);
  const { keyId } = token;
  const keys = await keySource.keysOf(provider, (kept) => kept.some(({ kid }) => kid === keyId));
  assertSignature(token, selectKey(keys, keyId, { kty, crv }));
}

function assumableRole(account: Account | undefined, wanted: RoleArn, arn: string): Role {
  const role = account?.roles.get(wanted.roleName.toLowerCase());
  if (role?.arn !== arn) throw notAuthorized("there is no such role");
  return role;
}

function checkDuration({ durationSeconds }: AssumeRoleParameters, role: Role): void {
  if (durationSeconds <= role.maxSessionSeconds) return;
  const message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
  throw new AwsError("ValidationError", 400, message);
}

function refuseProviderId(providerId: string): AwsError {
  if (providerId === "www.amazon.com") {
    const message = "Provided Token is not a Login With Amazon token";
    return invalidToken(message, "ProviderId is for OAuth 2.0 access tokens only");
  }
  return notAuthorized("unknown ProviderId");
}

function claimedBy({ claims, keyId }: JsonWebToken): NonNullable<CallFacts["webIdentity"]> {
  const text = (name: string): string | undefined => {
    const claim = claims.get(name);
    return typeof claim === "string" ? claim.slice(0, 512) : undefined;
  };
  return {
    issuer: text("iss"),
    subject: text("sub"),
    audience: text("azp") ?? text("aud"),
    kid: keyId?.slice(0, 512),
    isVerified: false,
  } satisfies WebIdentityFacts;
}

function answer(granted: {
  readonly deps: AssumeRoleDeps;
  readonly asked: AssumeRoleParameters;
  readonly role: Role;
  readonly provider: Provider;
  readonly subject: string;
  readonly audience: string;
  readonly session: ReturnType<typeof sessionClaimsOf>;
  readonly nowMs: number;
}): { readonly keyId: string; readonly fields: XmlFields } {
  const { asked, role, session } = granted;
  const packed = packedPolicySize([
    asked.policy ?? "",
    ...asked.policyArns,
    ...[...session.tags].flat(),
  ]);
  const issued = issueSession(granted.deps.store, {
    role,
    sessionName: asked.roleSessionName,
    expiresAtMs: granted.nowMs + asked.durationSeconds * 1000,
    session: {
      policy: asked.policy,
      policyArns: asked.policyArns,
      tags: session.tags,
      sourceIdentity: session.sourceIdentity,
    },
  });
  const fields = {
    SubjectFromWebIdentityToken: granted.subject,
    Audience: granted.audience,
    AssumedRoleUser: issued.assumedRoleUser,
    Credentials: issued.credentials,
    PackedPolicySize: packed,
    Provider: granted.provider.arn,
    SourceIdentity: session.sourceIdentity,
  };
  return { keyId: issued.accessKeyId, fields };
}
