import { parseRoleArn } from "./arn.ts";

/** Kubernetes wants a warning of about 120 characters, so a long value is cut. */
const MAX_LENGTH = 64;

/**
 * A value of the user's for a message: quoted, on one line, and not longer than a warning bears. It
 * has no control characters, for the API server drops a warning with any.
 */
export function quoted(value: string | null | undefined): string {
  const text = value ?? "";
  const short = text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
  // JSON leaves those above ASCII's as they are.
  return JSON.stringify(short).replaceAll(
    /[\u007f-\u009f]/g,
    (char) => `\\u00${char.charCodeAt(0).toString(16)}`,
  );
}

/** A role for a message: whole when it is a role ARN, else {@link quoted}. */
export function shownRole(roleArn: string): string {
  return parseRoleArn(roleArn) === undefined ? quoted(roleArn) : roleArn;
}
