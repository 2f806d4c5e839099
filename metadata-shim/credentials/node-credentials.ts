import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { AppError } from "../../lib/errors.ts";
import { parseJson } from "../../lib/go-json.ts";
import { instanceMetadata } from "../../lib/instance-metadata.ts";

/** Credentials of this node, to assume roles with. */
export interface NodeCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** Undefined for keys that do not end. */
  readonly expiration?: Date | undefined;
}

/** @throws Error saying in a few words why there are none. */
export type ReadNodeCredentials = () => Promise<NodeCredentials>;

type Env = Readonly<Record<string, string | undefined>>;

const Document = z.looseObject({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
  Expiration: z.coerce.date(),
});

/** Longest wait for each request to the metadata service of this node. */
const METADATA_TIMEOUT_MS = 1000;

/**
 * Where the node's credentials come from. Only what is named is asked, so that nobody gets a role of
 * the node by accident; the first of these that is there:
 *
 * 1. `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where there is one, `AWS_SESSION_TOKEN`
 * 2. the keys of the profile `AWS_PROFILE` (`default` without it) in `AWS_SHARED_CREDENTIALS_FILE`, or
 *    in `~/.aws/credentials` where only the profile is named
 * 3. the metadata service at `AWS_EC2_METADATA_SERVICE_ENDPOINT`
 *
 * @throws AppError CONFIG_INVALID when none of them is there.
 */
export function nodeCredentialsOf(env: Env): ReadNodeCredentials {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (accessKeyId && secretAccessKey) {
    const sessionToken = env["AWS_SESSION_TOKEN"] || undefined;
    return () => Promise.resolve({ accessKeyId, secretAccessKey, sessionToken });
  }
  if (env["AWS_SHARED_CREDENTIALS_FILE"] || env["AWS_PROFILE"]) return () => keysOfProfile(env);
  if (env["AWS_EC2_METADATA_SERVICE_ENDPOINT"]) return () => keysOfInstance(env);
  const message =
    "Cannot use the setting:\n  --legacy-assume-role needs the node's credentials: set " +
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or " +
    "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://169.254.169.254";
  throw new AppError("CONFIG_INVALID", 500, message);
}

async function keysOfProfile(env: Env): Promise<NodeCredentials> {
  const profile = env["AWS_PROFILE"] || "default";
  const fallback = join(env["HOME"] || homedir(), ".aws", "credentials");
  const file = env["AWS_SHARED_CREDENTIALS_FILE"] || fallback;
  const keys = keysIn(await readFile(file, "utf8"), profile);
  const accessKeyId = keys.get("aws_access_key_id");
  const secretAccessKey = keys.get("aws_secret_access_key");
  if (!accessKeyId || !secretAccessKey) {
    throw new Error(`profile ${JSON.stringify(profile)} of ${file} has no keys`);
  }
  return { accessKeyId, secretAccessKey, sessionToken: keys.get("aws_session_token") };
}

/** The settings of a section: `[name]`, then lines of `key = value`. */
function keysIn(text: string, section: string): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  let isWanted = false;
  for (const line of text.split(/\r?\n/)) {
    const [, name] = /^\s*\[\s*(.+?)\s*\]/.exec(line) ?? [];
    if (name !== undefined) isWanted = name === section;
    const [, key, value] = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (isWanted && key !== undefined && value !== undefined) keys.set(key, value);
  }
  return keys;
}

async function keysOfInstance(env: Env): Promise<NodeCredentials> {
  const metadata = instanceMetadata(env, METADATA_TIMEOUT_MS);
  const list = "meta-data/iam/security-credentials/";
  const [role = ""] = (await metadata.read(list)).split("\n", 1);
  const parsed = Document.safeParse(parseJson(await metadata.read(list + role)));
  if (!parsed.success) throw new Error("the metadata service of this node gave no credentials");
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = parsed.data;
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: Token,
    expiration: Expiration,
  };
}
