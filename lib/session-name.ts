import { createHash } from "node:crypto";

/** Bounds of STS `RoleSessionName`, in characters. */
const MIN_LENGTH = 2;
const MAX_LENGTH = 64;
const HASH_LENGTH = 10;

/**
 * A session name that STS takes (`[\\w+=,.@-]`, 2 to 64 characters), from the name of a pod, which
 * may have 253. A long one is cut and ends in a hash, so that two pods never share one.
 */
export function sessionNameOf(podName: string): string {
  const valid = podName.replaceAll(/[^\w+=,.@-]/g, "-");
  if (valid.length < MIN_LENGTH) return `pod-${valid}`;
  if (valid.length <= MAX_LENGTH) return valid;
  const hash = createHash("sha256").update(podName).digest("hex").slice(0, HASH_LENGTH);
  return `${valid.slice(0, MAX_LENGTH - HASH_LENGTH - 1)}-${hash}`;
}
