import type { Writable } from "node:stream";
import { pino, type Logger } from "pino";

export type { Logger } from "pino";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields that may hold a secret wherever they turn up in a logged object. */
const SECRET_PATHS = [
  "authorization",
  "token",
  "WebIdentityToken",
  "SecretAccessKey",
  "SessionToken",
];

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
      redact: SECRET_PATHS.flatMap((path) => [path, `*.${path}`, `*.*.${path}`]),
    },
    destination,
  );
}
