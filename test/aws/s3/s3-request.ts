import type { WireRequest } from "../protocol/sigv4.ts";
import { s3Error } from "./s3-error.ts";

/** A request to S3 in path style: `/bucket/key`. */
export interface S3Request {
  readonly wire: WireRequest;
  readonly bucket: string;
  /** Undefined for the bucket itself. */
  readonly key: string | undefined;
  readonly query: URLSearchParams;
}

/** Parameters that name a part of a bucket or object, as far as they are known here. */
const SUBRESOURCES = ["policy", "publicAccessBlock", "list-type"];
/** Parameters that change nothing about which operation it is. */
const HARMLESS =
  /^(x-id|prefix|delimiter|max-keys|continuation-token|start-after|encoding-type|fetch-owner|X-Amz-.*|x-amz-.*)$/;

/** Reads the bucket and key. @throws AwsError InvalidURI, InvalidBucketName */
export function parseS3Request(wire: WireRequest): S3Request {
  const [bucket = "", ...rest] = wire.path.slice(1).split("/");
  const key = rest.length === 0 ? undefined : rest.join("/");
  // Amazon S3 User Guide, "General purpose bucket naming rules".
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw s3Error("InvalidBucketName", 400, "The specified bucket is not valid.");
  }
  const query = new URLSearchParams(wire.query);
  return { wire, bucket, key: key === undefined || key === "" ? undefined : decode(key), query };
}

/** The name of the operation, as the SDKs call it. @throws AwsError NotImplemented */
export function operationOf({ wire, key, query }: S3Request): S3Operation {
  const names = [...query.keys()];
  const subresource = SUBRESOURCES.find((name) => query.has(name));
  const foreign = names.find((name) => !HARMLESS.test(name) && name !== subresource);
  const path = key === undefined ? "/bucket" : "/bucket/key";
  const route = `${wire.method} ${path}${subresource === undefined ? "" : `?${subresource}`}`;
  const operation = foreign === undefined && isRoute(route) ? ROUTES[route] : undefined;
  if (operation !== undefined && !wire.headers.has("x-amz-copy-source")) return operation;
  const message = "A header or query you provided implies functionality that is not implemented.";
  throw s3Error("NotImplemented", 501, message);
}

const ROUTES = {
  "PUT /bucket": "CreateBucket",
  "HEAD /bucket": "HeadBucket",
  "DELETE /bucket": "DeleteBucket",
  "GET /bucket?list-type": "ListObjectsV2",
  "PUT /bucket?policy": "PutBucketPolicy",
  "GET /bucket?policy": "GetBucketPolicy",
  "DELETE /bucket?policy": "DeleteBucketPolicy",
  "PUT /bucket?publicAccessBlock": "PutPublicAccessBlock",
  "GET /bucket?publicAccessBlock": "GetPublicAccessBlock",
  "DELETE /bucket?publicAccessBlock": "DeletePublicAccessBlock",
  "PUT /bucket/key": "PutObject",
  "GET /bucket/key": "GetObject",
  "HEAD /bucket/key": "HeadObject",
  "DELETE /bucket/key": "DeleteObject",
} as const;

export type S3Operation = (typeof ROUTES)[keyof typeof ROUTES];

function isRoute(route: string): route is keyof typeof ROUTES {
  return Object.hasOwn(ROUTES, route);
}

function decode(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch (cause) {
    throw s3Error("InvalidURI", 400, "Couldn't parse the specified URI.", cause);
  }
}
