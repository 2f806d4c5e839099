import type { WireRequest } from "../protocol/sigv4.ts";
import type { StoredObject } from "../store.ts";
import { s3Error } from "./s3-error.ts";

/**
 * Checks `If-Match` and `If-None-Match` of a write (Amazon S3 User Guide, "Conditional requests").
 *
 * @throws AwsError PreconditionFailed, NoSuchKey for If-Match on nothing
 */
export function assertWritable(
  { headers }: WireRequest,
  present: Pick<StoredObject, "etag"> | undefined,
): void {
  const ifMatch = headers.get("if-match");
  if (ifMatch !== undefined) {
    if (present === undefined) {
      throw s3Error("NoSuchKey", 404, "The specified key does not exist.");
    }
    if (!lists(ifMatch, present.etag)) throw preconditionFailed();
  }
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== undefined && present !== undefined && lists(ifNoneMatch, present.etag)) {
    throw preconditionFailed();
  }
}

/** Whether a read needs no body. @throws AwsError PreconditionFailed */
export function isUnchanged({ headers }: WireRequest, { etag }: StoredObject): boolean {
  const ifMatch = headers.get("if-match");
  if (ifMatch !== undefined && !lists(ifMatch, etag)) throw preconditionFailed();
  const ifNoneMatch = headers.get("if-none-match");
  return ifNoneMatch !== undefined && lists(ifNoneMatch, etag);
}

/** SDKs write an entity tag with its quotes or without. */
function lists(header: string, etag: string): boolean {
  const items = header.split(",").map((item) => item.trim().replaceAll('"', ""));
  return items.includes("*") || items.includes(etag.replaceAll('"', ""));
}

function preconditionFailed(): Error {
  const message = "At least one of the pre-conditions you specified did not hold";
  return s3Error("PreconditionFailed", 412, message);
}
