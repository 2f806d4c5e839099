/** Kubernetes wants a warning of about 120 characters, so a long value is cut. */
const MAX_LENGTH = 64;

/** A value of the user's for a message: quoted, on one line, and not longer than a warning bears. */
export function quoted(value: string | null | undefined): string {
  const text = value ?? "";
  return JSON.stringify(text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text);
}
