import { reasonOf } from "./errors.ts";

const IPV4_ENDPOINT = "http://169.254.169.254";
const IPV6_ENDPOINT = "http://[fd00:ec2::254]";
const TOKEN_TTL_SECONDS = 60;

/** Reads leaves of the metadata of the EC2 instance this runs on. */
export interface InstanceMetadata {
  /**
   * @param path Below `/latest`, such as `meta-data/iam/info`.
   * @throws Error saying in a few words why there is none.
   */
  read(path: string): Promise<string>;
}

/**
 * The metadata service of this EC2 instance (EC2 User Guide, "Instance metadata"), asked with a
 * session token (IMDSv2).
 *
 * The variables are those of the AWS SDKs: `AWS_EC2_METADATA_SERVICE_ENDPOINT`,
 * `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` (IPv6) and `AWS_EC2_METADATA_DISABLED`.
 *
 * @param timeoutMs Bound of each request; a leaf takes two.
 */
export function instanceMetadata(
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
): InstanceMetadata {
  return {
    async read(path) {
      if (env["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true") {
        throw new Error("AWS_EC2_METADATA_DISABLED is true");
      }
      const endpoint = endpointOf(env);
      try {
        const token = await ask(new URL("/latest/api/token", endpoint), {
          method: "PUT",
          headers: { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_TTL_SECONDS) },
          timeoutMs,
        });
        return await ask(new URL(`/latest/${path}`, endpoint), {
          method: "GET",
          headers: { "x-aws-ec2-metadata-token": token },
          timeoutMs,
        });
      } catch (cause) {
        throw new Error(problemOf(cause), { cause });
      }
    },
  };
}

function endpointOf(env: Readonly<Record<string, string | undefined>>): URL {
  const isIpv6 = env["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.toLowerCase() === "ipv6";
  const endpoint =
    env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] || (isIpv6 ? IPV6_ENDPOINT : IPV4_ENDPOINT);
  if (/^https?:\/\//.test(endpoint) && URL.canParse(endpoint)) return new URL(endpoint);
  const wanted = "expected a URL such as http://127.0.0.1:1338";
  throw new Error(`AWS_EC2_METADATA_SERVICE_ENDPOINT ${JSON.stringify(endpoint)}: ${wanted}`);
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
  // fetch says only that it failed, and keeps why in the cause.
  return reasonOf(err instanceof Error && err.cause instanceof Error ? err.cause : err);
}
