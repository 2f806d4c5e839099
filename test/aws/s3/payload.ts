import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { WireRequest } from "../protocol/sigv4.ts";
import { decodeAwsChunked } from "./aws-chunked.ts";
import { s3Error } from "./s3-error.ts";

const CHUNKED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/**
 * The body of a request as it was meant: unchunked, and checked against the hash and checksums that
 * came with it.
 *
 * @throws AwsError XAmzContentSHA256Mismatch, BadDigest, IncompleteBody, NotImplemented for chunks
 *   that are signed one by one
 */
export function payloadOf({ headers, body }: WireRequest): Buffer {
  const declared = headers.get("x-amz-content-sha256") ?? "UNSIGNED-PAYLOAD";
  if (declared === CHUNKED) {
    const unchunked = decodeAwsChunked(body);
    const length = headers.get("x-amz-decoded-content-length");
    if (unchunked === undefined || String(unchunked.body.length) !== length) {
      throw s3Error("IncompleteBody", 400, "The request body is not what its length says.");
    }
    checkDigests(unchunked.body, new Map([...headers, ...unchunked.trailers]));
    return unchunked.body;
  }
  if (declared.startsWith("STREAMING-")) {
    const message = `The payload kind ${declared} is not implemented in this stand-in.`;
    throw s3Error("NotImplemented", 501, message);
  }
  if (declared !== "UNSIGNED-PAYLOAD" && declared !== digest("sha256", body).toString("hex")) {
    const message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    throw s3Error("XAmzContentSHA256Mismatch", 400, message);
  }
  checkDigests(body, headers);
  return body;
}

/** The checksums that node:crypto and node:zlib can compute; others are not checked. */
const DIGESTS: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  "content-md5": (body) => digest("md5", body),
  "x-amz-checksum-crc32": crc32Of,
  "x-amz-checksum-sha1": (body) => digest("sha1", body),
  "x-amz-checksum-sha256": (body) => digest("sha256", body),
};

function checkDigests(body: Buffer, headers: ReadonlyMap<string, string>): void {
  for (const [name, compute] of Object.entries(DIGESTS)) {
    const wanted = headers.get(name);
    if (wanted === undefined || wanted === compute(body).toString("base64")) continue;
    throw s3Error("BadDigest", 400, `The ${name} you specified did not match what we received.`);
  }
}

function digest(algorithm: "md5" | "sha1" | "sha256", body: Buffer): Buffer {
  return createHash(algorithm).update(body).digest();
}

function crc32Of(body: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes;
}
