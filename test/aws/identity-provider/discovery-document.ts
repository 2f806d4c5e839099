import { z } from "zod";

// Without these members STS was reported to refuse all tokens of the issuer.
const Document = z.looseObject({
  issuer: z.string(),
  jwks_uri: z.string(),
  response_types_supported: z.array(z.string()),
  subject_types_supported: z.array(z.string()),
  id_token_signing_alg_values_supported: z.array(z.string()),
});

/** The URL of an issuer's discovery document: the suffix goes after the issuer's own path. */
export function discoveryUrlOf(issuer: string): URL {
  return new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
}

/**
 * Reads the URL of the keys from an issuer's discovery document.
 *
 * @throws Error when the document is none, is another issuer's, or its `jwks_uri` is not https.
 */
export function parseJwksUri(text: string, issuer: string): URL {
  const { issuer: named, jwks_uri: jwksUri } = Document.parse(JSON.parse(text));
  if (named !== issuer) throw new Error(`The document's issuer is "${named}", wanted "${issuer}"`);
  const url = new URL(jwksUri);
  if (url.protocol !== "https:") throw new Error(`The jwks_uri is "${jwksUri}", wanted https`);
  return url;
}
