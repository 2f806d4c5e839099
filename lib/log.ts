import type { Writable } from "node:stream";
import { pino, type Logger } from "pino";

export type { Logger } from "pino";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Fields that may hold a secret, as HTTP, the AWS SDK and the Query API of AWS spell them. They are
 * taken out of a logged object, and of objects in it down to the headers of a request.
 */
const SECRET_FIELDS = [
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
      redact: SECRET_FIELDS.map((name) => JSON.stringify([name])).flatMap((path) => [
        path,
        `*${path}`,
        `*.*${path}`,
      ]),
    },
    destination,
  );
}
