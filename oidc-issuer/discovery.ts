/** Where a client finds the discovery document, below the issuer's own path. */
export const DISCOVERY_PATH = "/.well-known/openid-configuration";

/** Where the keys are, below the issuer's own path: the name that kube-apiserver uses. */
export const JWKS_PATH = "/openid/v1/jwks";

/** The OpenID Provider Metadata that STS reads; member names are those of the specification. */
export interface DiscoveryDocument {
  readonly issuer: string;
  readonly jwks_uri: string;
  readonly response_types_supported: readonly string[];
  readonly subject_types_supported: readonly string[];
  readonly id_token_signing_alg_values_supported: readonly string[];
  readonly claims_supported: readonly string[];
}

/**
 * The discovery document of an issuer (OpenID Connect Discovery 1.0 section 3, without the endpoints
 * that only an interactive login needs). The keys are on the issuer's own host, so that one
 * certificate chain covers both documents.
 *
 * @param issuerUrl The token's `iss`, letter by letter.
 * @param algorithms The `alg` of each published key, in any order.
 */
export function discoveryDocument(
  issuerUrl: string,
  algorithms: readonly string[],
): DiscoveryDocument {
  return {
    issuer: issuerUrl,
    jwks_uri: `${issuerUrl}${JWKS_PATH}`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [...new Set(algorithms)].toSorted(),
    claims_supported: ["aud", "exp", "iat", "iss", "sub"],
  };
}
