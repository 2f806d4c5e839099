import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Clock } from "./clock.ts";
import { AppError, reasonOf } from "./errors.ts";
import { watchFiles } from "./watch-files.ts";

/** A serving certificate with its chain, and its private key, both PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Checks that a certificate and a key are readable and belong together.
 *
 * @throws AppError CERTIFICATE_INVALID
 */
export function parseKeyPair(cert: string, key: string): KeyPair {
  let matches: boolean;
  try {
    matches = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    const message = `Cannot read the certificate or its key: ${reasonOf(cause)}`;
    throw new AppError("CERTIFICATE_INVALID", 500, message, { cause });
  }
  if (!matches) {
    const message = "Cannot use the certificate: its public key is not the one of the private key";
    throw new AppError("CERTIFICATE_INVALID", 500, message);
  }
  return { cert, key };
}

/**
 * Reads a key pair from files and tells each usable new one, until `signal` aborts. A bad new pair
 * goes to `onError`, and the old one stays in use.
 *
 * @throws AppError CERTIFICATE_INVALID when the first pair is unusable.
 */
export async function watchKeyPair(
  { certFile, keyFile }: { readonly certFile: string; readonly keyFile: string },
  options: {
    readonly clock: Clock;
    readonly pollMs: number;
    readonly signal: AbortSignal;
    readonly onChange: (pair: KeyPair) => void;
    readonly onError: (err: unknown) => void;
  },
): Promise<KeyPair> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  try {
    const [cert = "", key = ""] = await watchFiles([certFile, keyFile], {
      ...options,
      signal,
      onChange: ([newCert = "", newKey = ""]) => options.onChange(parseKeyPair(newCert, newKey)),
    });
    return parseKeyPair(cert, key);
  } catch (cause) {
    // Who could not start has nothing to be told of later pairs.
    stop.abort();
    if (cause instanceof AppError) throw cause;
    const message = `Cannot read the serving certificate: ${reasonOf(cause)}`;
    throw new AppError("CERTIFICATE_INVALID", 500, message, { cause });
  }
}
