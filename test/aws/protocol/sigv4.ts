import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { AwsError } from "./aws-error.ts";

/** A request as it came over the wire: nothing decoded, header names in lower case. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** What a request says about its signature: by the Authorization header, or presigned in its query. */
export interface PresentedSignature {
  readonly accessKeyId: string;
  /** `20261120/eu-central-1/sts/aws4_request` */
  readonly scope: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** `20261120T101500Z` */
  readonly amzDate: string;
  readonly signedAtMs: number;
  readonly sessionToken: string | undefined;
  /** How long a presigned request is valid; undefined when signed by header. */
  readonly expiresSeconds: number | undefined;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

/**
 * Reads the signature of a request (AWS General Reference, Signature Version 4).
 *
 * @throws AwsError MissingAuthenticationToken when there is none, IncompleteSignature when it is cut
 *   off or contradicts itself.
 */
export function parseSignature(request: WireRequest): PresentedSignature {
  const query = new URLSearchParams(request.query);
  if (query.has("X-Amz-Algorithm")) return parsePresigned(request, query);
  const header = request.headers.get("authorization");
  if (header === undefined) {
    const message = "Request is missing Authentication Token";
    throw new AwsError("MissingAuthenticationToken", 403, message);
  }
  const [algorithm, rest] = splitOnce(header, " ");
  const parts = new Map(rest.split(",").map((part) => splitOnce(part.trim(), "=")));
  return assemble({
    request,
    algorithm,
    credential: parts.get("Credential"),
    signedHeaders: parts.get("SignedHeaders"),
    signature: parts.get("Signature"),
    amzDate: request.headers.get("x-amz-date"),
    sessionToken: request.headers.get("x-amz-security-token"),
    expires: undefined,
  });
}

function parsePresigned(request: WireRequest, query: URLSearchParams): PresentedSignature {
  const of = (name: string): string | undefined => query.get(name) ?? undefined;
  return assemble({
    request,
    algorithm: of("X-Amz-Algorithm"),
    credential: of("X-Amz-Credential"),
    signedHeaders: of("X-Amz-SignedHeaders"),
    signature: of("X-Amz-Signature"),
    amzDate: of("X-Amz-Date"),
    sessionToken: of("X-Amz-Security-Token"),
    expires: of("X-Amz-Expires") ?? "",
  });
}

/** Longest life of a presigned request: seven days. */
const MAX_EXPIRES_SECONDS = 604_800;

function assemble(found: {
  readonly request: WireRequest;
  readonly algorithm: string | undefined;
  readonly credential: string | undefined;
  readonly signedHeaders: string | undefined;
  readonly signature: string | undefined;
  readonly amzDate: string | undefined;
  readonly sessionToken: string | undefined;
  readonly expires: string | undefined;
}): PresentedSignature {
  const { algorithm, credential = "", amzDate = "", signature = "", expires } = found;
  const [accessKeyId, date, region, service, terminator, ...more] = credential.split("/");
  const signedHeaders = (found.signedHeaders ?? "").split(";");
  const time = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(amzDate);
  const signedAtMs = Date.parse(amzDate.replace(time?.[0] ?? "", isoOf(time)));
  if (algorithm !== ALGORITHM) throw incomplete(`expected the algorithm ${ALGORITHM}`);
  if (!accessKeyId || !date || !region || !service || more.length > 0) {
    throw incomplete("expected Credential=KEY/DATE/REGION/SERVICE/aws4_request");
  }
  if (terminator !== "aws4_request") throw incomplete("expected a scope that ends in aws4_request");
  if (!/^[0-9a-f]{64}$/.test(signature)) throw incomplete("expected Signature of 64 hex digits");
  if (Number.isNaN(signedAtMs)) throw incomplete("expected X-Amz-Date as YYYYMMDDTHHMMSSZ");
  if (!amzDate.startsWith(date))
    throw incomplete("expected the scope to have the day of X-Amz-Date");
  const required = expires === undefined ? ["host", "x-amz-date"] : ["host"];
  if (required.some((name) => !signedHeaders.includes(name))) {
    throw incomplete(`expected SignedHeaders with ${required.join(" and ")}`);
  }
  const expiresSeconds = expires === undefined ? undefined : Number(expires || Number.NaN);
  if (
    expiresSeconds !== undefined &&
    !(expiresSeconds >= 1 && expiresSeconds <= MAX_EXPIRES_SECONDS)
  ) {
    throw incomplete(`expected X-Amz-Expires from 1 to ${MAX_EXPIRES_SECONDS}`);
  }
  const scope = [date, region, service, terminator].join("/");
  const { sessionToken } = found;
  return {
    accessKeyId,
    scope,
    region,
    service,
    signedHeaders,
    signature,
    amzDate,
    signedAtMs,
    sessionToken,
    expiresSeconds,
  };
}

/** Whether the signature of a request is the one that the secret gives. */
export function isSignedBy(
  secretAccessKey: string,
  request: WireRequest,
  presented: PresentedSignature,
): boolean {
  const canonical = sha256Hex(canonicalRequest(request, presented));
  const toSign = [ALGORITHM, presented.amzDate, presented.scope, canonical].join("\n");
  const signingKey = presented.scope
    .split("/")
    .reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secretAccessKey}`));
  return timingSafeEqual(hmac(signingKey, toSign), Buffer.from(presented.signature, "hex"));
}

function canonicalRequest(request: WireRequest, presented: PresentedSignature): string {
  const { signedHeaders, service } = presented;
  const headers = signedHeaders.map((name) => {
    const value = request.headers.get(name) ?? "";
    return `${name}:${value.trim().replaceAll(/\s+/g, " ")}\n`;
  });
  return [
    request.method,
    canonicalPath(request.path, service),
    canonicalQuery(request.query),
    headers.join(""),
    signedHeaders.join(";"),
    payloadHash(request, presented),
  ].join("\n");
}

// S3 alone signs the path encoded once; all other services encode what was sent once more.
function canonicalPath(path: string, service: string): string {
  return path
    .split("/")
    .map((part) => encode(service === "s3" ? decode(part) : part))
    .join("/");
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  return query
    .split("&")
    .map((pair) => splitOnce(pair, "="))
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [encode(decode(name)), encode(decode(value))] as const)
    .toSorted(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

// S3 signs what its header says of the body (the header is checked against the body elsewhere), and
// nothing of the body of a presigned request; the others sign the hash of the body itself.
function payloadHash(
  request: WireRequest,
  { service, expiresSeconds }: PresentedSignature,
): string {
  if (service !== "s3") return sha256Hex(request.body);
  const fallback = expiresSeconds === undefined ? sha256Hex(request.body) : "UNSIGNED-PAYLOAD";
  return request.headers.get("x-amz-content-sha256") ?? fallback;
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoded UTF-8: signed as it stands.
    return text;
  }
}

function splitOnce(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

function isoOf(time: RegExpExecArray | null): string {
  if (time === null) return "no date";
  const [, year, month, day, hour, minute, second] = time;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function sha256Hex(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function incomplete(wanted: string): AwsError {
  return new AwsError("IncompleteSignature", 400, `Cannot read the signature: ${wanted}`);
}
