import { z } from "zod";
import { matchesGlob } from "../../lib/glob.ts";
import { goFieldsOf } from "../../lib/go-json.ts";
import { invalid, parseObjectText } from "./associations-text.ts";
import {
  MAX_TOKEN_EXPIRATION_SECONDS,
  MIN_TOKEN_EXPIRATION_SECONDS,
} from "../identity/identity.ts";
import type { ConfigMapEntry } from "../identity/identity-source.ts";
import { quoted } from "../../lib/quoted.ts";

/** The roles of ServiceAccounts by name, as a ConfigMap gives them. */
export interface ConfigMapEntries {
  /** By `namespace/name`. */
  readonly exact: ReadonlyMap<string, ConfigMapEntry>;
  /** Those with a `*`, the more specific first. */
  readonly globs: readonly GlobEntry[];
}

interface GlobEntry {
  readonly namespace: string;
  readonly name: string;
  readonly entry: ConfigMapEntry;
}

export const NO_ENTRIES: ConfigMapEntries = Object.freeze({ exact: new Map(), globs: [] });

const SUBJECT = "the ConfigMap's config";
const PART = /^[a-z0-9.*-]{1,253}$/;

const RoleArn = z.string().nullish();
const Audience = z.string().nullish();
const UseRegionalSts = z.boolean().nullish();
const TokenExpiration = z.int().max(MAX_TOKEN_EXPIRATION_SECONDS).nullish();

/**
 * Reads the `config` of the ConfigMap that AWS's webhook (and kOps) use:
 * `{"namespace/name": {"RoleARN", "Audience", "UseRegionalSTS", "TokenExpiration"}}`. Field names
 * ignore case, unknown fields are passed over, absent and null ones mean the default.
 *
 * @returns the entries, and a sentence for each value that is not used as it was written.
 * @throws AppError ASSOCIATION_INVALID naming every bad entry; a part of them is never used.
 */
export function parseConfigMapEntries(text: string): {
  readonly entries: ConfigMapEntries;
  readonly warnings: readonly string[];
} {
  const exact = new Map<string, ConfigMapEntry>();
  const globs: GlobEntry[] = [];
  const problems: string[] = [];
  const warnings: string[] = [];
  for (const [key, value] of Object.entries(parseObjectText(text, SUBJECT))) {
    const parts = key.split("/");
    const [namespace = "", name = ""] = parts;
    if (parts.length !== 2 || !parts.every((part) => PART.test(part))) {
      problems.push(
        `key ${quoted(key)}: expected namespace/name, in lower case, * for any characters`,
      );
      continue;
    }
    const entry = entryOf(key, value, { problems, warnings });
    if (entry === undefined) continue;
    if (key.includes("*")) globs.push({ namespace, name, entry });
    else exact.set(key, entry);
  }
  if (problems.length > 0) throw invalid(SUBJECT, problems);
  return { entries: { exact, globs: globs.toSorted(bySpecificity) }, warnings };
}

/** The entry for a ServiceAccount: the exact one, else the most specific of the globs. */
export function entryFor(
  { exact, globs }: ConfigMapEntries,
  namespace: string,
  name: string,
): ConfigMapEntry | undefined {
  const found = exact.get(`${namespace}/${name}`);
  if (found !== undefined) return found;
  return globs.find(
    (glob) => matchesGlob(glob.namespace, namespace) && matchesGlob(glob.name, name),
  )?.entry;
}

function entryOf(
  key: string,
  value: unknown,
  { problems, warnings }: { readonly problems: string[]; readonly warnings: string[] },
): ConfigMapEntry | undefined {
  const fields = goFieldsOf(value);
  if (fields === undefined) {
    problems.push(`entry ${quoted(key)}: expected an object with RoleARN`);
    return undefined;
  }
  const field = <T>(name: string, schema: z.ZodType<T>, wanted: string): T | undefined => {
    const parsed = schema.safeParse(fields.get(name.toLowerCase()));
    if (parsed.success) return parsed.data;
    problems.push(`${name} of entry ${quoted(key)}: expected ${wanted}`);
    return undefined;
  };
  const wantedSeconds = `whole seconds, at most ${MAX_TOKEN_EXPIRATION_SECONDS}`;
  const seconds = field("TokenExpiration", TokenExpiration, wantedSeconds) || undefined;
  if (seconds !== undefined && seconds < MIN_TOKEN_EXPIRATION_SECONDS) {
    warnings.push(
      `TokenExpiration ${seconds} of entry ${quoted(key)} raised to ${MIN_TOKEN_EXPIRATION_SECONDS} seconds`,
    );
  }
  return {
    key,
    roleArn: field("RoleARN", RoleArn, "a text") || undefined,
    audience: field("Audience", Audience, "a text") || undefined,
    expirationSeconds:
      seconds === undefined ? undefined : Math.max(seconds, MIN_TOKEN_EXPIRATION_SECONDS),
    regionalSts: field("UseRegionalSTS", UseRegionalSts, "true or false") ?? undefined,
  };
}

/**
 * A namespace without a wildcard before one with, then the same of the name, then the longer text
 * (namespace, then name); what is still equal goes by its key, so that the order is always the same.
 */
function bySpecificity(a: GlobEntry, b: GlobEntry): number {
  return (
    Number(a.namespace.includes("*")) - Number(b.namespace.includes("*")) ||
    Number(a.name.includes("*")) - Number(b.name.includes("*")) ||
    literals(b.namespace) - literals(a.namespace) ||
    literals(b.name) - literals(a.name) ||
    (a.entry.key < b.entry.key ? -1 : 1)
  );
}

function literals(glob: string): number {
  return glob.replaceAll("*", "").length;
}
