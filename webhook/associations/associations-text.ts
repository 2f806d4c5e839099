import { AppError, reasonOf } from "../../lib/errors.ts";
import { goFieldsOf, parseJson } from "../../lib/go-json.ts";

/** Longest content that is read, in characters: more than a ConfigMap can hold. */
export const MAX_CONTENT_LENGTH = 4 * 1024 * 1024;
/** A message with each of 10,000 problems helps nobody. */
const MAX_PROBLEMS = 10;

/**
 * Reads a configuration that is a JSON object; an empty one says nothing.
 *
 * @param subject What it is, for messages.
 * @throws AppError ASSOCIATION_INVALID when it is no JSON object, or too long.
 */
export function parseObjectText(text: string, subject: string): object {
  if (text.length > MAX_CONTENT_LENGTH) {
    throw invalid(subject, [
      `${text.length} characters long, expected at most ${MAX_CONTENT_LENGTH}`,
    ]);
  }
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw invalid(subject, [reasonOf(cause)], cause);
  }
  if (typeof value === "object" && value !== null && goFieldsOf(value) !== undefined) return value;
  throw invalid(subject, ["expected a JSON object"]);
}

/** The error that names all problems of a configuration, or the first of many. */
export function invalid(subject: string, problems: readonly string[], cause?: unknown): AppError {
  const named = problems.slice(0, MAX_PROBLEMS).join("; ");
  const more = problems.length > MAX_PROBLEMS ? `; and ${problems.length - MAX_PROBLEMS} more` : "";
  const message = `Cannot use ${subject}: ${named}${more}`;
  return new AppError("ASSOCIATION_INVALID", 500, message, { cause });
}
