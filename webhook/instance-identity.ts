import { z } from "zod";
import { partitionOfRegion } from "../lib/arn.ts";
import { AppError, reasonOf } from "../lib/errors.ts";
import type { RoleAccount } from "./compose-role-arn.ts";

const IPV4_ENDPOINT = "http://169.254.169.254";
const IPV6_ENDPOINT = "http://[fd00:ec2::254]";
const TOKEN_TTL_SECONDS = 60;

const InstanceIdentity = z.looseObject({
  accountId: z.string().regex(/^\d{12}$/),
  region: z.string().min(1),
});

/**
 * The account and partition of the EC2 instance this runs on, from its instance identity document
 * (EC2 User Guide, "Instance identity documents"), asked for with a session token (IMDSv2).
 *
 * The variables are those of the AWS SDKs: `AWS_EC2_METADATA_SERVICE_ENDPOINT`,
 * `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` (IPv6) and `AWS_EC2_METADATA_DISABLED`.
 *
 * @param timeoutMs Bound of each of the two requests.
 * @throws AppError METADATA_UNAVAILABLE
 */
export async function readInstanceAccount(
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
): Promise<RoleAccount> {
  if (env["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true") {
    throw unavailable("AWS_EC2_METADATA_DISABLED is true");
  }
  const endpoint = endpointOf(env);
  try {
    const token = await ask(new URL("/latest/api/token", endpoint), {
      method: "PUT",
      headers: { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_TTL_SECONDS) },
      timeoutMs,
    });
    const text = await ask(new URL("/latest/dynamic/instance-identity/document", endpoint), {
      method: "GET",
      headers: { "x-aws-ec2-metadata-token": token },
      timeoutMs,
    });
    const { accountId, region } = InstanceIdentity.parse(JSON.parse(text));
    return { accountId, partition: partitionOfRegion(region) };
  } catch (cause) {
    throw unavailable(problemOf(cause), cause);
  }
}

function endpointOf(env: Readonly<Record<string, string | undefined>>): URL {
  const isIpv6 = env["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.toLowerCase() === "ipv6";
  const endpoint =
    env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] || (isIpv6 ? IPV6_ENDPOINT : IPV4_ENDPOINT);
  if (/^https?:\/\//.test(endpoint) && URL.canParse(endpoint)) return new URL(endpoint);
  const wanted = "expected a URL such as http://127.0.0.1:1338";
  throw unavailable(`AWS_EC2_METADATA_SERVICE_ENDPOINT ${JSON.stringify(endpoint)}: ${wanted}`);
}

async function ask(
  url: URL,
  request: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
  },
): Promise<string> {
  const { method, headers, timeoutMs } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { method, headers, signal, redirect: "error" });
  if (!response.ok) throw new Error(`${method} ${url.pathname} answered ${response.status}`);
  return response.text();
}

function problemOf(err: unknown): string {
  if (err instanceof z.ZodError) return "it names no account";
  // fetch says only that it failed, and keeps why in the cause.
  return reasonOf(err instanceof Error && err.cause instanceof Error ? err.cause : err);
}

function unavailable(problem: string, cause?: unknown): AppError {
  const message =
    `Cannot read the instance identity document for --compose-role-arn: ${problem}; ` +
    "give --account-id where there is none";
  return new AppError("METADATA_UNAVAILABLE", 500, message, cause === undefined ? {} : { cause });
}
