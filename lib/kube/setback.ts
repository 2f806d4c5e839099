import { reasonOf } from "../errors.ts";
import { refusalText } from "./api-status.ts";
import { retryAfterMs } from "./retry-after.ts";

/** Why a list or a watch did not go on, and what that means for the next try. */
export class Setback extends Error {
  override readonly name = "Setback";
  /**
   * - `gone`: what was asked for is too old (410); only a new list helps.
   * - `answered`: a server was there and did not give what was asked for.
   * - `unreachable`: no answer, or one that broke off.
   */
  readonly kind: "gone" | "answered" | "unreachable";
  /** The wait the server asked for. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: Setback["kind"],
    reason: string,
    options: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(reason, { cause: options.cause });
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The setback in an answer that is not 200. */
export function refusal(
  answer: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: unknown;
  },
  nowMs: number,
): Setback {
  return new Setback(
    answer.status === 410 ? "gone" : "answered",
    refusalText(answer.status, answer.body),
    { retryAfterMs: retryAfterMs(answer.headers["retry-after"], nowMs) },
  );
}

/** Anything thrown on the way, as a setback. */
export function asSetback(cause: unknown): Setback {
  return cause instanceof Setback ? cause : new Setback("unreachable", reasonOf(cause), { cause });
}
