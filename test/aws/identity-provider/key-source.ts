import { reasonOf } from "../../../lib/errors.ts";
import { AwsError } from "../protocol/aws-error.ts";
import type { Provider } from "../store.ts";
import { cannotRetrieveKey, invalidToken } from "../web-identity/refusals.ts";
import { parseKeySet, type Jwk } from "../web-identity/signing-key.ts";
import { freshSeconds } from "./cache-control.ts";
import { discoveryUrlOf, parseJwksUri } from "./discovery-document.ts";
import { getOver, type Fetched } from "./https-get.ts";
import { thumbprintOf } from "./presented-chain.ts";
import {
  connectTrusted,
  lastCertificate,
  UntrustedCertificateError,
  type Network,
} from "./tls-connection.ts";

/** Where the keys of identity providers come from. */
export interface KeySource {
  /**
   * The keys that a provider publishes now, or those it allowed to be kept.
   *
   * @param isEnough Keys from the cache that are not enough (an unknown `kid`) are fetched again.
   * @throws AwsError InvalidIdentityToken
   */
  keysOf(provider: Provider, isEnough: (keys: readonly Jwk[]) => boolean): Promise<readonly Jwk[]>;
  /**
   * The thumbprint that IAM takes when none is given: of the server that publishes the keys.
   *
   * @throws AwsError OpenIdIdpCommunicationError
   */
  thumbprintFor(issuer: string): Promise<string>;
}

interface Kept {
  readonly keys: readonly Jwk[];
  readonly untilMs: number;
}

/** AWS re:Post: both answers together within five seconds. */
const FETCH_TIMEOUT_MS = 5000;

/** Makes the source that fetches discovery and keys over TLS. */
export function createKeySource(deps: {
  readonly network: () => Network;
  readonly now: () => number;
  /** Whether answers are kept as their Cache-Control allows; else every token fetches them. */
  readonly isCaching: () => boolean;
  readonly timeoutMs?: number | undefined;
}): KeySource {
  const { network, now, isCaching, timeoutMs = FETCH_TIMEOUT_MS } = deps;
  // A provider that is changed or made anew is another object and starts without kept keys.
  const cache = new WeakMap<Provider, Kept>();
  return {
    async keysOf(provider, isEnough) {
      const kept = isCaching() ? cache.get(provider) : undefined;
      if (kept !== undefined && now() < kept.untilMs && isEnough(kept.keys)) return kept.keys;
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await fetchKeySet(provider, { network: network(), signal });
      const keys = parseKeySet(answer.text);
      cache.set(provider, { keys, untilMs: now() + freshSeconds(answer.cacheControl) * 1000 });
      return keys;
    },
    async thumbprintFor(issuer) {
      const options = { network: network(), signal: AbortSignal.timeout(timeoutMs) };
      try {
        return await readThumbprint(issuer, options);
      } catch (cause) {
        const message = `Cannot reach the OpenID Connect identity provider ${issuer}: ${reasonOf(cause)}`;
        throw new AwsError("OpenIdIdpCommunicationError", 400, message, { cause });
      }
    },
  };
}

interface FetchOptions {
  readonly network: Network;
  readonly signal: AbortSignal;
}

async function fetchKeySet(provider: Provider, options: FetchOptions): Promise<Fetched> {
  const issuer = `https://${provider.url}`;
  try {
    const discovery = await getTrusted(discoveryUrlOf(issuer), provider, options);
    return await getTrusted(parseJwksUri(discovery.text, issuer), provider, options);
  } catch (cause) {
    if (cause instanceof UntrustedCertificateError) {
      const message =
        "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint";
      throw invalidToken(message, cause.message, cause);
    }
    throw cannotRetrieveKey(reasonOf(cause), cause);
  }
}

async function getTrusted(
  url: URL,
  { thumbprints }: Provider,
  options: FetchOptions,
): Promise<Fetched> {
  return getOver(await connectTrusted(url, thumbprints, options), url);
}

/** Trusts what it meets: with a thumbprint made this way, the first server seen is the right one. */
async function readThumbprint(issuer: string, options: FetchOptions): Promise<string> {
  const { network, signal } = options;
  const discoveryUrl = discoveryUrlOf(issuer);
  const seen = thumbprintOf(await lastCertificate(discoveryUrl, network, signal));
  const discovery = await getOver(
    await connectTrusted(discoveryUrl, [seen], options),
    discoveryUrl,
  );
  const jwksUri = parseJwksUri(discovery.text, issuer);
  return thumbprintOf(await lastCertificate(jwksUri, network, signal));
}
