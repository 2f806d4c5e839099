import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { AppError } from "../../lib/errors.ts";
import { parseKeyPair } from "../../lib/server-certificate.ts";
import { caBundleOf, type CertificateState } from "./certificate-state.ts";

/** Keys of the Secret; `tls.crt` and `tls.key` are those of the type `kubernetes.io/tls`. */
const KEYS = {
  servingCert: "tls.crt",
  servingKey: "tls.key",
  /** All CAs to trust, for whoever wants to copy them; made of the others. */
  bundle: "ca.crt",
  signingCert: "signing-ca.crt",
  signingKey: "signing-ca.key",
  nextCert: "next-ca.crt",
  nextKey: "next-ca.key",
  oldCert: "old-ca.crt",
  times: "rotation.json",
} as const;

const Times = z.strictObject({
  nextInForceSinceMs: z.number().int().optional(),
  oldReplacedMs: z.number().int().optional(),
});

/** The data of the Secret, each value in base64 as the API wants it. */
export function secretDataOf(state: CertificateState): Readonly<Record<string, string>> {
  const { serving, signing, next, old } = state;
  const times: z.infer<typeof Times> = {
    nextInForceSinceMs: next?.inForceSinceMs,
    oldReplacedMs: old?.replacedMs,
  };
  const texts: Record<string, string> = {
    [KEYS.servingCert]: serving.cert,
    [KEYS.servingKey]: serving.key,
    [KEYS.bundle]: caBundleOf(state),
    [KEYS.signingCert]: signing.cert,
    [KEYS.signingKey]: signing.key,
    ...(next === undefined
      ? {}
      : { [KEYS.nextCert]: next.authority.cert, [KEYS.nextKey]: next.authority.key }),
    ...(old === undefined ? {} : { [KEYS.oldCert]: old.cert }),
    [KEYS.times]: JSON.stringify(times),
  };
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
}

/**
 * Reads the data of the Secret, and believes nothing: keys must fit their certificates, the serving
 * certificate must be one of the signing CA, and the bundle must be that of its parts.
 *
 * @throws AppError CERTIFICATE_INVALID, whose message quotes nothing of the data.
 */
export function parseSecretData(data: Readonly<Record<string, string>>): CertificateState {
  const text = (key: string): string => {
    const value = Buffer.from(data[key] ?? "", "base64").toString("utf8");
    if (value === "") throw unusable(`${key} is missing`);
    return value;
  };
  const pair = (certKey: string, keyKey: string): { cert: string; key: string } => {
    try {
      return parseKeyPair(text(certKey), text(keyKey));
    } catch (err) {
      if (err instanceof AppError) throw unusable(`${certKey}, ${keyKey}: ${err.message}`);
      throw err;
    }
  };
  const times = timesOf(text(KEYS.times));
  const serving = pair(KEYS.servingCert, KEYS.servingKey);
  const signing = pair(KEYS.signingCert, KEYS.signingKey);
  const state: CertificateState = {
    serving,
    signing,
    next: hasKey(data, KEYS.nextCert)
      ? {
          authority: pair(KEYS.nextCert, KEYS.nextKey),
          inForceSinceMs: times.nextInForceSinceMs,
        }
      : undefined,
    old: hasKey(data, KEYS.oldCert)
      ? { cert: text(KEYS.oldCert), replacedMs: times.oldReplacedMs ?? 0 }
      : undefined,
  };
  for (const cert of [signing.cert, state.next?.authority.cert, state.old?.cert]) {
    if (cert !== undefined) assertAuthority(cert);
  }
  const leaf = new X509Certificate(serving.cert);
  const ca = new X509Certificate(signing.cert);
  if (!leaf.checkIssued(ca) || !leaf.verify(ca.publicKey)) {
    throw unusable(`${KEYS.servingCert} is not from the CA in ${KEYS.signingCert}`);
  }
  if (text(KEYS.bundle) !== caBundleOf(state)) {
    throw unusable(`${KEYS.bundle} is not made of the CAs beside it`);
  }
  return state;
}

function assertAuthority(cert: string): void {
  let isAuthority: boolean;
  try {
    isAuthority = new X509Certificate(cert).ca;
  } catch {
    throw unusable("a CA certificate cannot be read");
  }
  if (!isAuthority) throw unusable("a CA certificate is not one of a CA");
}

function timesOf(text: string): z.infer<typeof Times> {
  try {
    return Times.parse(JSON.parse(text));
  } catch {
    throw unusable(`${KEYS.times} cannot be read`);
  }
}

function hasKey(data: Readonly<Record<string, string>>, key: string): boolean {
  return Object.hasOwn(data, key);
}

function unusable(problem: string): AppError {
  return new AppError("CERTIFICATE_INVALID", 500, `Cannot use the certificates: ${problem}`);
}
