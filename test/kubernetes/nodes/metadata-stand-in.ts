import { randomBytes } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
} from "node:http";

/** A call that reached the stand-in. */
export interface MetadataCall {
  /** IP address of the caller. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

export interface MetadataStandIn {
  readonly server: Server;
  /** The calls so far, oldest first. */
  readonly calls: () => readonly MetadataCall[];
}

interface Answer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: OutgoingHttpHeaders;
}

export const NODE_ROLE = "node-role";
/** By this the credentials of the node's role are known wherever they turn up. */
export const NODE_ACCESS_KEY_ID = "ASIANODEROLE00000000";

const TOKEN_PATH = "/latest/api/token";
const TOKEN_HEADER = "x-aws-ec2-metadata-token";
const TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds";
const MAX_TTL_SECONDS = 21_600;
const HOUR_MS = 3_600_000;

/**
 * Stands in for EC2's instance metadata service, with `HttpTokens` optional: versions 1 and 2. It hands
 * out the credentials of the node's role to whoever reaches it, so that a test sees who does
 * (docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html).
 */
export function createMetadataStandIn(): MetadataStandIn {
  const calls: MetadataCall[] = [];
  /** Time of expiry by token. */
  const tokens = new Map<string, number>();

  function answer({ method, url: path = "/", headers }: IncomingMessage): Answer {
    if (path === TOKEN_PATH) {
      if (method !== "PUT") return { status: 405 };
      if ("x-forwarded-for" in headers) return { status: 403 };
      const ttlSeconds = Number(headers[TTL_HEADER]);
      const isValid = Number.isInteger(ttlSeconds) && ttlSeconds >= 1;
      if (!isValid || ttlSeconds > MAX_TTL_SECONDS) return { status: 400 };
      const token = randomBytes(32).toString("base64url");
      tokens.set(token, Date.now() + ttlSeconds * 1000);
      return { status: 200, body: token, headers: { [TTL_HEADER]: ttlSeconds } };
    }
    if (method !== "GET") return { status: 405 };
    const token = headers[TOKEN_HEADER];
    if (token !== undefined && (tokens.get(String(token)) ?? 0) < Date.now())
      return { status: 401 };
    const body = documents()[path];
    if (body === undefined) return { status: 404 };
    return { status: 200, body: typeof body === "string" ? body : JSON.stringify(body, null, 2) };
  }

  const server = createServer((request, response) => {
    const { status, body = "", headers } = answer(request);
    const { method = "", url: path = "/", socket } = request;
    calls.push({ from: socket.remoteAddress ?? "", method, path, status });
    response.writeHead(status, { "content-type": "text/plain", ...headers }).end(body);
  });
  return { server, calls: () => [...calls] };
}

function documents(): Readonly<Record<string, string | object>> {
  const credentials = "/latest/meta-data/iam/security-credentials/";
  const nowMs = Date.now();
  return {
    [credentials]: NODE_ROLE,
    [`${credentials}${NODE_ROLE}`]: {
      Code: "Success",
      LastUpdated: timeText(nowMs),
      Type: "AWS-HMAC",
      AccessKeyId: NODE_ACCESS_KEY_ID,
      SecretAccessKey: "the-secret-of-the-node-role",
      Token: "the-session-token-of-the-node-role",
      Expiration: timeText(nowMs + 6 * HOUR_MS),
    },
    "/latest/meta-data/iam/info": {
      Code: "Success",
      LastUpdated: timeText(nowMs),
      InstanceProfileArn: `arn:aws:iam::111122223333:instance-profile/${NODE_ROLE}`,
      InstanceProfileId: "AIPANODEROLE00000000",
    },
    "/latest/meta-data/placement/region": "eu-west-1",
    "/latest/meta-data/placement/availability-zone": "eu-west-1a",
    "/latest/dynamic/instance-identity/document": {
      region: "eu-west-1",
      accountId: "111122223333",
    },
  };
}

/** With whole seconds, as the SDKs expect it. */
function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
