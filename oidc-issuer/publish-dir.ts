import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { AppError, reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { writeFileAtomically } from "./atomic-file.ts";
import { DISCOVERY_PATH, JWKS_PATH } from "./discovery.ts";
import type { Documents } from "./documents.ts";
import { sanitizeJwk, type PublicJwk } from "./jwk.ts";

const Discovery = z.looseObject({ issuer: z.string() });
const Jwks = z.looseObject({ keys: z.array(z.unknown()) });
const Missing = z.looseObject({ code: z.literal("ENOENT") });

/**
 * The keys that a directory publishes now, so that none of them gets lost; empty when it holds no
 * documents yet. Documents that cannot be used are told to the log; they will be replaced.
 *
 * @throws AppError PUBLISH_REFUSED when the documents there are those of another issuer, or cannot be
 *   read at all
 */
export async function readPublishedKeys(
  dir: string,
  { issuerUrl, log }: { readonly issuerUrl: string; readonly log: Pick<Logger, "error"> },
): Promise<readonly PublicJwk[]> {
  let documents: readonly (Buffer | undefined)[];
  try {
    documents = await Promise.all(
      [DISCOVERY_PATH, JWKS_PATH].map((path) => readIfThere(join(dir, path))),
    );
  } catch (cause) {
    throw refused(dir, reasonOf(cause), cause);
  }
  const [discoveryBody, jwksBody] = documents;
  const discovery = Discovery.safeParse(parsed(discoveryBody));
  if (discovery.success && discovery.data.issuer !== issuerUrl) {
    const other = JSON.stringify(discovery.data.issuer);
    throw refused(dir, `it holds the documents of ${other}, expected those of "${issuerUrl}"`);
  }
  if (jwksBody === undefined) return [];
  const jwks = Jwks.safeParse(parsed(jwksBody));
  if (!jwks.success) {
    log.error({ dir }, "The published JWKS cannot be used and will be replaced");
    return [];
  }
  return jwks.data.keys.flatMap((served) => {
    const result = sanitizeJwk(served);
    return "jwk" in result ? [result.jwk] : [];
  });
}

/**
 * Makes the documents in a directory the given ones, for a web server or an upload. A file that is
 * already right is not touched. New keys are there before the discovery document that names their
 * algorithms; when keys only go, it is the other way round.
 *
 * @param write How a file is replaced as a whole.
 * @throws AppError PUBLISH_REFUSED when they cannot be written; each file is then the old or the new one
 */
export async function publishToDirectory(
  dir: string,
  { discovery, jwks }: Documents,
  write: (path: string, content: Uint8Array) => Promise<void> = writeFileAtomically,
): Promise<"published" | "unchanged"> {
  let changed = false;
  try {
    const isRemoval = onlyRemoves(await readIfThere(join(dir, jwks.path)), jwks.body);
    for (const { path, body } of isRemoval ? [discovery, jwks] : [jwks, discovery]) {
      const file = join(dir, path);
      if ((await readIfThere(file))?.equals(body) === true) continue;
      await write(file, body);
      changed = true;
    }
  } catch (cause) {
    throw refused(dir, reasonOf(cause), cause);
  }
  return changed ? "published" : "unchanged";
}

function onlyRemoves(before: Buffer | undefined, after: Buffer): boolean {
  const old = kidsOf(before);
  const next = kidsOf(after);
  return next.every((kid) => old.includes(kid)) && next.length < old.length;
}

function kidsOf(body: Buffer | undefined): readonly string[] {
  const jwks = Jwks.safeParse(parsed(body));
  const keys = jwks.success ? jwks.data.keys : [];
  return keys.flatMap((key) => z.looseObject({ kid: z.string() }).safeParse(key).data?.kid ?? []);
}

function parsed(body: Buffer | undefined): unknown {
  try {
    return JSON.parse(body?.toString() ?? "null");
  } catch {
    return undefined;
  }
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (err) {
    if (Missing.safeParse(err).success) return undefined;
    throw err;
  }
}

function refused(dir: string, problem: string, cause?: unknown): AppError {
  const message = `Cannot publish to ${JSON.stringify(dir)}: ${problem}`;
  return new AppError("PUBLISH_REFUSED", 500, message, { cause });
}
