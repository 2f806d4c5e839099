import { createHash } from "node:crypto";
import { DISCOVERY_PATH, discoveryDocument, JWKS_PATH } from "./discovery.ts";
import type { PublicJwk } from "./jwk.ts";

/** A document ready to be sent or written: nothing is left to compute when somebody asks. */
export interface RenderedDocument {
  readonly name: "discovery" | "jwks";
  /** Below the issuer's own path, and below the directory that a publisher writes to. */
  readonly path: string;
  readonly contentType: string;
  readonly body: Buffer;
  /** Strong: the quoted SHA-256 of the body, the same on every replica with the same keys. */
  readonly etag: string;
}

/** The two documents of one set of keys. They always change together. */
export interface Documents {
  readonly discovery: RenderedDocument;
  readonly jwks: RenderedDocument;
}

const MEMBERS: Readonly<Record<PublicJwk["kty"], readonly string[]>> = {
  RSA: ["use", "kty", "kid", "alg", "n", "e"],
  EC: ["use", "kty", "kid", "alg", "crv", "x", "y"],
};

/**
 * Renders both documents.
 *
 * @param keys At least one, in the order to publish.
 * @throws Error when the set is empty or a key has a member that must not be published: such a set
 *   would break every role of the cluster, or give its signing key away, so it must not get this far.
 */
export function renderDocuments(issuerUrl: string, keys: readonly PublicJwk[]): Documents {
  if (keys.length === 0) throw new Error("Expected at least one key to publish");
  for (const key of keys) assertOnlyPublicMembers(key);
  const algorithms = keys.map(({ alg }) => alg);
  return {
    discovery: render({
      name: "discovery",
      path: DISCOVERY_PATH,
      contentType: "application/json",
      document: discoveryDocument(issuerUrl, algorithms),
    }),
    jwks: render({
      name: "jwks",
      path: JWKS_PATH,
      contentType: "application/jwk-set+json",
      document: { keys },
    }),
  };
}

function render({
  document,
  ...rest
}: Pick<RenderedDocument, "name" | "path" | "contentType"> & { document: unknown }) {
  const body = Buffer.from(JSON.stringify(document));
  return { ...rest, body, etag: `"${createHash("sha256").update(body).digest("base64url")}"` };
}

function assertOnlyPublicMembers(key: PublicJwk): void {
  const extra = Object.keys(key).filter((member) => !MEMBERS[key.kty].includes(member));
  if (extra.length > 0) throw new Error(`Refused to publish the JWK members ${extra.join(", ")}`);
}
