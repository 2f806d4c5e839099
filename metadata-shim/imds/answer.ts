import { MAX_TOKEN_TTL_SECONDS, MIN_TOKEN_TTL_SECONDS } from "../session-token/session-token.ts";

/** Why a request was answered as it was: for the log, and a label of the metrics. */
export type AnswerReason =
  | "ok"
  | "bad-ttl"
  | "body-too-large"
  | "dated-token-path"
  | "forwarded"
  | "host"
  | "internal-error"
  | "method"
  | "not-found"
  | "session-token"
  | "caller-ambiguous"
  | "caller-unavailable"
  | "caller-unknown"
  | "credentials-refused"
  | "credentials-throttled"
  | "credentials-unavailable"
  | "no-role"
  | "other-role"
  | "role-forbidden"
  | "role-unavailable"
  | "token-missing";

/** What goes back to a client, before it is put on a socket. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Beside those that every answer has. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly reason: AnswerReason;
  /** What happened, for the log; undefined where the reason says it all. */
  readonly detail?: string | undefined;
}

/** An answer with what was asked for. */
export function found(body: string): Answer {
  return { status: 200, body, reason: "ok" };
}

// Without bodies, as EC2 sends them where it was recorded; no client reads one.
export const NOT_FOUND: Answer = { status: 404, body: "", reason: "not-found" };
/** No session token where one is required, or one that does not hold. */
export const UNAUTHORIZED: Answer = { status: 401, body: "", reason: "session-token" };
export const FORBIDDEN_HOST: Answer = { status: 403, body: "", reason: "host" };
/** Passed on by a proxy, so that whoever asks is not who is at the other end. */
export const FORWARDED: Answer = { status: 403, body: "", reason: "forwarded" };
export const DATED_TOKEN_PATH: Answer = { status: 403, body: "", reason: "dated-token-path" };
export const BODY_TOO_LARGE: Answer = {
  status: 413,
  body: "",
  headers: { connection: "close" },
  reason: "body-too-large",
};
export const BAD_TTL: Answer = {
  status: 400,
  body: `Expected X-aws-ec2-metadata-token-ttl-seconds: a whole number from ${MIN_TOKEN_TTL_SECONDS} to ${MAX_TOKEN_TTL_SECONDS}`,
  reason: "bad-ttl",
};
export const INTERNAL_ERROR: Answer = { status: 500, body: "", reason: "internal-error" };

/** The method is none of a path: only reads, or only the making of tokens. */
export function methodNotAllowed(isTokenPath: boolean): Answer {
  const allow = isTokenPath ? "OPTIONS, PUT" : "GET, HEAD";
  return { status: 405, body: "", headers: { allow }, reason: "method" };
}
