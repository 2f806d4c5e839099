import type { Writable } from "node:stream";
import { pino, stdSerializers, type Logger } from "pino";

export type { Logger } from "pino";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Fields that may hold a secret, as HTTP, the AWS SDK and the Query API of AWS spell them. They are
 * taken out of a logged object, and of objects in it down to the headers of a request.
 */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  "authorization",
  "Authorization",
  "token",
  "Token",
  "webIdentityToken",
  "WebIdentityToken",
  "secretAccessKey",
  "SecretAccessKey",
  "sessionToken",
  "SessionToken",
  "x-amz-security-token",
  "x-aws-ec2-metadata-token",
]);
const SECRET_DEPTH = 3;
const REDACTED = "[Redacted]";

/**
 * A logger of JSON lines. Messages are constants in sentence case; what varies goes into fields.
 *
 * @param service The program's name, on every line.
 */
export function createLogger(
  { level, service }: { level: LogLevel; service: string },
  destination: Writable,
): Logger {
  return pino(
    {
      level,
      base: { service },
      // pino's own option takes several times as long as all the rest of a line.
      formatters: { log: withoutSecretFields },
      serializers: {
        // For what a child logger is bound to, which no formatter sees.
        ...Object.fromEntries([...SECRET_FIELDS].map((name) => [name, () => REDACTED])),
        err: (err: Error) => withoutSecrets(stdSerializers.err(err), SECRET_DEPTH - 1),
      },
    },
    destination,
  );
}

function withoutSecretFields(fields: Record<string, unknown>): Record<string, unknown> {
  let clean = fields;
  for (const [name, value] of Object.entries(fields)) {
    // Has its serializer, which also tells what is not enumerable.
    if (name === "err") continue;
    const shown = shownOf(name, value, SECRET_DEPTH);
    if (shown === value) continue;
    if (clean === fields) clean = { ...fields };
    clean[name] = shown;
  }
  return clean;
}

/** The same value when there is nothing to hide in it, else a copy. */
function withoutSecrets(value: unknown, depth: number): unknown {
  // What writes itself has no fields of its own in the line.
  const hasFields = typeof value === "object" && value !== null && !("toJSON" in value);
  if (!hasFields || depth === 0) return value;
  const entries = Object.entries(value);
  const shown = entries.map(([name, field]) => [name, shownOf(name, field, depth)] as const);
  const isClean = shown.every(([, field], i) => field === entries[i]?.[1]);
  if (isClean) return value;
  return Array.isArray(value) ? shown.map(([, field]) => field) : Object.fromEntries(shown);
}

function shownOf(name: string, value: unknown, depth: number): unknown {
  return SECRET_FIELDS.has(name) ? REDACTED : withoutSecrets(value, depth - 1);
}
