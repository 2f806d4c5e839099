/**
 * An error that a caller of the stand-in gets, under the code that AWS puts on the wire. Its message
 * is AWS's own as far as it is known, so that what reads messages can be tested too.
 */
export class AwsError extends Error {
  override readonly name = "AwsError";
  /** The wire code, without the `Exception` that the SDK for JavaScript adds to some. */
  readonly code: string;
  readonly status: number;
  /** What really was wrong, for the call log: AWS's messages hide it. Never holds a secret. */
  readonly detail: string | undefined;

  constructor(
    code: string,
    status: number,
    message: string,
    options: { readonly detail?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.status = status;
    this.detail = options.detail;
  }
}
