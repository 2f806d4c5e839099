/** Every code this project puts on an error; tests and metrics match on these, never on messages. */
export type ErrorCode =
  | "ANNOTATION_INVALID"
  | "ASSOCIATION_INVALID"
  | "BODY_INVALID"
  | "CERTIFICATE_INVALID"
  | "CONFIG_INVALID"
  | "DEMO_FAILED"
  | "INPUT_INVALID"
  | "ISSUER_INVALID"
  | "KEY_CONFLICT"
  | "KEY_INVALID"
  | "KUBERNETES_FORBIDDEN"
  | "KUBERNETES_REFUSED"
  | "KUBERNETES_UNAVAILABLE"
  | "METADATA_UNAVAILABLE"
  | "PUBLISH_REFUSED"
  | "REVIEW_INVALID"
  | "RULES_FAILED"
  | "STORE_INVALID";

/**
 * An error whose message is safe to show to the caller. Anything that is not an AppError is a bug or
 * an outage: it is logged in full and answered with a bare 500.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  /** HTTP status an edge should answer with. */
  readonly status: number;

  constructor(code: ErrorCode, status: number, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.status = status;
  }
}

/** Whether an API server was asked and does not let this program read what it asked for. */
export function isForbidden(err: unknown): err is AppError {
  return err instanceof AppError && err.code === "KUBERNETES_FORBIDDEN";
}

/** The one sentence of anything thrown, for logs and for messages that quote a cause. */
export function reasonOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}
