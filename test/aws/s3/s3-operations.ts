import { createHash } from "node:crypto";
import { isPublic, parseBucketPolicy } from "../policy/bucket-policy.ts";
import { renderXml, type XmlFields } from "../protocol/xml.ts";
import type { Reply } from "../reply.ts";
import type { Bucket, PublicAccessBlock, Store, StoredObject } from "../store.ts";
import { listObjects } from "./list-objects.ts";
import { payloadOf } from "./payload.ts";
import { assertWritable, isUnchanged } from "./preconditions.ts";
import { accessDenied, s3Error } from "./s3-error.ts";
import type { S3Operation, S3Request } from "./s3-request.ts";

/** What an operation works on; access was decided before. */
export interface S3Call {
  readonly request: S3Request;
  readonly store: Store;
  readonly nowMs: number;
  /** The account that signed; undefined for the public. */
  readonly accountId: string | undefined;
}

type Run = (call: S3Call, bucket: Bucket) => Answer;
type Answer = Exclude<Reply, "drop">;

const XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/";

/** Runs an operation. @throws AwsError NoSuchBucket and the errors of the operation */
export function runS3Operation(operation: S3Operation, call: S3Call): Answer {
  if (operation === "CreateBucket") return createBucket(call);
  return OPERATIONS[operation](call, findBucket(call.store, call.request.bucket));
}

/** The bucket of this name. @throws AwsError NoSuchBucket */
export function findBucket(store: Store, name: string): Bucket {
  const bucket = store.buckets.get(name);
  if (bucket !== undefined) return bucket;
  throw s3Error("NoSuchBucket", 404, "The specified bucket does not exist");
}

// Amazon S3 User Guide, "Blocking public access": how every new bucket starts.
const ALL_BLOCKED: PublicAccessBlock = {
  BlockPublicAcls: true,
  IgnorePublicAcls: true,
  BlockPublicPolicy: true,
  RestrictPublicBuckets: true,
};

function createBucket({ request, store, nowMs, accountId }: S3Call): Answer {
  if (accountId === undefined) throw accessDenied();
  const { bucket: name, wire } = request;
  const existing = store.buckets.get(name);
  if (existing?.accountId === accountId) {
    const message = "Your previous request to create the named bucket succeeded and you own it.";
    throw s3Error("BucketAlreadyOwnedByYou", 409, message);
  }
  if (existing !== undefined) {
    throw s3Error("BucketAlreadyExists", 409, "The requested bucket name is not available.");
  }
  const constraint = /<LocationConstraint>([\w-]+)<\/LocationConstraint>/.exec(
    payloadOf(wire).toString(),
  );
  store.buckets.set(name, {
    name,
    accountId,
    region: constraint?.[1] ?? "us-east-1",
    createdAtMs: nowMs,
    policy: undefined,
    publicAccessBlock: ALL_BLOCKED,
    objects: new Map(),
  });
  return { status: 200, headers: { location: `/${name}` }, body: "" };
}

const OPERATIONS: Readonly<Record<Exclude<S3Operation, "CreateBucket">, Run>> = {
  HeadBucket: (_call, { region }) => empty(200, { "x-amz-bucket-region": region }),
  DeleteBucket({ store }, bucket) {
    if (bucket.objects.size > 0) {
      throw s3Error("BucketNotEmpty", 409, "The bucket you tried to delete is not empty");
    }
    store.buckets.delete(bucket.name);
    return empty(204);
  },
  ListObjectsV2: ({ request }, bucket) =>
    xml("ListBucketResult", listObjects(bucket, request.query)),
  PutBucketPolicy({ request, store }, bucket) {
    const policy = parseBucketPolicy(payloadOf(request.wire).toString(), bucket.name);
    if (isPublic(policy) && bucket.publicAccessBlock?.BlockPublicPolicy === true) {
      throw accessDenied();
    }
    store.buckets.set(bucket.name, { ...bucket, policy });
    return empty(204);
  },
  GetBucketPolicy(_call, { policy }) {
    if (policy === undefined) {
      throw s3Error("NoSuchBucketPolicy", 404, "The bucket policy does not exist");
    }
    const headers = { "content-type": "application/json" };
    return { status: 200, headers, body: policy.document };
  },
  DeleteBucketPolicy({ store }, bucket) {
    store.buckets.set(bucket.name, { ...bucket, policy: undefined });
    return empty(204);
  },
  PutPublicAccessBlock({ request, store }, bucket) {
    const text = payloadOf(request.wire).toString();
    const isSet = (name: keyof PublicAccessBlock): boolean =>
      new RegExp(`<${name}>\\s*true\\s*</${name}>`, "i").test(text);
    const publicAccessBlock = {
      BlockPublicAcls: isSet("BlockPublicAcls"),
      IgnorePublicAcls: isSet("IgnorePublicAcls"),
      BlockPublicPolicy: isSet("BlockPublicPolicy"),
      RestrictPublicBuckets: isSet("RestrictPublicBuckets"),
    };
    store.buckets.set(bucket.name, { ...bucket, publicAccessBlock });
    return empty(200);
  },
  GetPublicAccessBlock(_call, { publicAccessBlock }) {
    if (publicAccessBlock === undefined) {
      const message = "The public access block configuration was not found";
      throw s3Error("NoSuchPublicAccessBlockConfiguration", 404, message);
    }
    return xml("PublicAccessBlockConfiguration", { ...publicAccessBlock });
  },
  DeletePublicAccessBlock({ store }, bucket) {
    store.buckets.set(bucket.name, { ...bucket, publicAccessBlock: undefined });
    return empty(204);
  },
  PutObject({ request, nowMs }, bucket) {
    const { wire, key = "" } = request;
    const body = payloadOf(wire);
    assertWritable(wire, bucket.objects.get(key));
    const etag = `"${createHash("md5").update(body).digest("hex")}"`;
    const headers = keptHeaders(wire.headers);
    bucket.objects.set(key, { body, etag, modifiedAtMs: nowMs, headers });
    return empty(200, { etag });
  },
  GetObject: ({ request }, bucket) => readObject(request, bucket),
  HeadObject({ request }, bucket) {
    const answer = readObject(request, bucket);
    const length = String(Buffer.byteLength(answer.body));
    return { ...answer, headers: { ...answer.headers, "content-length": length }, body: "" };
  },
  DeleteObject({ request }, bucket) {
    const { wire, key = "" } = request;
    if (wire.headers.has("if-match")) assertWritable(wire, bucket.objects.get(key));
    bucket.objects.delete(key);
    return empty(204);
  },
};

function readObject({ wire, key = "" }: S3Request, bucket: Bucket): Answer {
  const object = bucket.objects.get(key);
  if (object === undefined) throw s3Error("NoSuchKey", 404, "The specified key does not exist.");
  const headers = {
    ...Object.fromEntries(object.headers),
    etag: object.etag,
    "last-modified": new Date(object.modifiedAtMs).toUTCString(),
  };
  if (isUnchanged(wire, object)) return { status: 304, headers, body: "" };
  return { status: 200, headers, body: object.body };
}

const KEPT = /^(content-type|cache-control|content-disposition|content-language|x-amz-meta-.+)$/;

/** The headers of an upload that come back with the object. */
function keptHeaders(headers: ReadonlyMap<string, string>): StoredObject["headers"] {
  const kept = new Map([["content-type", "binary/octet-stream"]]);
  for (const [name, value] of headers) if (KEPT.test(name)) kept.set(name, value);
  const encoding = (headers.get("content-encoding") ?? "")
    .split(",")
    .map((name) => name.trim())
    // How the upload was framed is no property of the object.
    .filter((name) => name !== "" && name !== "aws-chunked");
  if (encoding.length > 0) kept.set("content-encoding", encoding.join(","));
  return kept;
}

function empty(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: "" };
}

function xml(root: string, fields: XmlFields): Answer {
  const headers = { "content-type": "application/xml" };
  return { status: 200, headers, body: renderXml(root, XMLNS, fields) };
}
