import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";

/** The folder and the certificates that everything in the demo shares; gone when disposed. */
export interface Stage extends AsyncDisposable {
  readonly folder: string;
  /** The authority that signed `keyPair`, PEM. */
  readonly caPem: string;
  readonly keyPair: KeyPair;
  /** The same pair as files, for the programs' flags. */
  readonly certFile: string;
  readonly keyFile: string;
}

const LIFETIME_MS = 24 * 60 * 60 * 1000;

/** Prepares the stage: a private folder, an authority, and a certificate for `hostnames`. */
export async function prepareStage(
  hostnames: readonly [string, ...string[]],
  nowMs: number,
): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-demo-"));
  const dispose = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + LIFETIME_MS };
    const authority = await createAuthority("irsa demo authority", validity);
    const keyPair = await issueServingCertificate(authority, hostnames, validity);
    const [certFile, keyFile] = [join(folder, "tls.crt"), join(folder, "tls.key")];
    await writeFile(certFile, keyPair.cert);
    await writeFile(keyFile, keyPair.key, { mode: 0o600 });
    return {
      folder,
      caPem: authority.cert,
      keyPair,
      certFile,
      keyFile,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (err) {
    await dispose();
    throw err;
  }
}
