import { parseRoleArn } from "../../lib/arn.ts";
import type { CredentialFailure, Credentials } from "../credentials/credentials.ts";
import { metadataTime } from "../imds/documents.ts";

/** Where the agent is asked for, by IPv4 and IPv6: SDKs allow plain HTTP to these alone. */
export const AGENT_HOSTS = ["169.254.170.23", "fd00:ec2::23"] as const;

export interface AgentAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** What happened, for the log; undefined when all went well. */
  readonly problem?: string | undefined;
}

/** Credentials as AWS's agent gives them. */
export function credentialsAnswer(credentials: Credentials, roleArn: string): AgentAnswer {
  const body = JSON.stringify({
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey,
    Token: credentials.sessionToken,
    AccountId: parseRoleArn(roleArn)?.accountId ?? "",
    Expiration: metadataTime(credentials.expiresAtMs),
  });
  return { status: 200, contentType: "application/json", body };
}

// The texts of AWS's own agent, since people search for them.
export const EMPTY_TOKEN = text(400, "Service account token cannot be empty");
export const UNREADABLE_TOKEN = text(
  400,
  "Service account token cannot be parsed: token is malformed",
);
export const EXPIRED_TOKEN = text(
  400,
  "Service account token failed basic claim validations: token is expired",
);
export const EARLY_TOKEN = text(
  400,
  "Service account token failed basic claim validations: token is not valid yet",
);
export const UNKNOWN_PATH = text(404, "404 page not found");
export const BODY_TOO_LARGE = text(413, "Request body too large");
export const INTERNAL_ERROR = text(500, "Internal Server Error");

/** The Host header named none of the agent's addresses: it may be a page in a browser. */
export function invalidAddress(hosts: Iterable<string>, host: string): AgentAnswer {
  const wanted = `[${[...hosts].join(" ")}]`;
  const problem = `please use either ${wanted} address not ${host}`;
  return text(403, `Access Denied. Called agent through invalid address, ${problem}`);
}

/** Errors of EKS Auth's AssumeRoleForPodIdentity, with their statuses (EKS Auth API reference). */
const STATUSES = {
  AccessDeniedException: 400,
  InvalidTokenException: 400,
  ResourceNotFoundException: 404,
  ServiceUnavailableException: 503,
  ThrottlingException: 429,
} as const;

/** An error as AWS's agent passes it on from EKS Auth. */
export function serviceError(
  code: keyof typeof STATUSES,
  { message, requestId }: { readonly message: string; readonly requestId: string },
): AgentAnswer {
  const status = STATUSES[code];
  const fault = status >= 500 ? "server" : "client";
  return text(status, `[${requestId}]: (${code}): ${message}, fault: ${fault}`);
}

/** Which error a failure to get credentials is. */
export const ERROR_BY_FAILURE: Readonly<Record<CredentialFailure["kind"], keyof typeof STATUSES>> =
  {
    refused: "AccessDeniedException",
    throttled: "ThrottlingException",
    unavailable: "ServiceUnavailableException",
    "token-missing": "ServiceUnavailableException",
  };

function text(status: number, line: string): AgentAnswer {
  return { status, contentType: "text/plain; charset=utf-8", body: `${line}\n`, problem: line };
}
