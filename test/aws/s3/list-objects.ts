import type { XmlFields } from "../protocol/xml.ts";
import type { Bucket } from "../store.ts";
import { s3Error } from "./s3-error.ts";

const MAX_KEYS = 1000;

/** One page of ListObjectsV2. @throws AwsError InvalidArgument */
export function listObjects(bucket: Bucket, query: URLSearchParams): XmlFields {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const token = query.get("continuation-token");
  const after = token === null ? (query.get("start-after") ?? "") : decodeToken(token);
  const maxKeys = parseMaxKeys(query.get("max-keys"));
  const encode = query.get("encoding-type") === "url" ? encodeURIComponent : String;

  const groups = new Map<string, "object" | "prefix">();
  for (const key of bucket.objects.keys()) {
    if (!key.startsWith(prefix)) continue;
    const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    if (end < 0) groups.set(key, "object");
    else groups.set(key.slice(0, end + delimiter.length), "prefix");
  }
  const names = [...groups.keys()].filter((name) => name > after).toSorted(byBytes);
  const page = names.slice(0, maxKeys);
  const last = page.at(-1);
  const isTruncated = names.length > page.length && last !== undefined;
  return {
    Name: bucket.name,
    Prefix: encode(prefix),
    Delimiter: delimiter === "" ? undefined : encode(delimiter),
    MaxKeys: maxKeys,
    EncodingType: encode === String ? undefined : "url",
    KeyCount: page.length,
    IsTruncated: isTruncated,
    ContinuationToken: token ?? undefined,
    NextContinuationToken: isTruncated ? encodeToken(last) : undefined,
    Contents: page
      .filter((name) => groups.get(name) === "object")
      .map((name) => contentOf(bucket, name, encode)),
    CommonPrefixes: page
      .filter((name) => groups.get(name) === "prefix")
      .map((name) => ({ Prefix: encode(name) })),
  };
}

function contentOf(bucket: Bucket, key: string, encode: (text: string) => string): XmlFields {
  const object = bucket.objects.get(key);
  if (object === undefined) throw new Error("Expected a listed object to be there");
  return {
    Key: encode(key),
    LastModified: new Date(object.modifiedAtMs).toISOString(),
    ETag: object.etag,
    Size: object.body.length,
    StorageClass: "STANDARD",
  };
}

function parseMaxKeys(text: string | null): number {
  if (text === null) return MAX_KEYS;
  if (!/^\d{1,9}$/.test(text)) {
    throw s3Error("InvalidArgument", 400, "Provided max-keys not an integer or within range");
  }
  return Math.min(Number(text), MAX_KEYS);
}

// S3 lists keys in the order of their UTF-8 bytes.
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function encodeToken(key: string): string {
  return Buffer.from(key).toString("base64url");
}

function decodeToken(token: string): string {
  return Buffer.from(token, "base64url").toString();
}
