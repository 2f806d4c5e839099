import type { ServiceDeps } from "../query-service.ts";
import type { WireRequest } from "../protocol/sigv4.ts";
import type { Reply } from "../reply.ts";

/** The S3 surface: it refuses every call as not implemented yet. */
export function createS3(_deps: ServiceDeps): (request: WireRequest) => Promise<Reply> {
  return () => Promise.resolve({ status: 501, headers: { connection: "close" }, body: "" });
}
