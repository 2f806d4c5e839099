import { randomUUID } from "node:crypto";
import { allowsEverybody } from "../policy/bucket-policy.ts";
import { authenticate } from "../protocol/authenticate.ts";
import { AwsError } from "../protocol/aws-error.ts";
import type { WireRequest } from "../protocol/sigv4.ts";
import { renderXml } from "../protocol/xml.ts";
import { asAwsError, type ServiceDeps } from "../query-service.ts";
import type { Reply } from "../reply.ts";
import type { Principal } from "../store.ts";
import { accessDenied, inWordsOfS3 } from "./s3-error.ts";
import { findBucket, runS3Operation } from "./s3-operations.ts";
import { operationOf, parseS3Request, type S3Operation, type S3Request } from "./s3-request.ts";

/** The few operations of S3 that publishing an issuer's documents needs, in path style. */
export function createS3(deps: ServiceDeps): (wire: WireRequest) => Promise<Reply> {
  return async (wire) => {
    const requestId = randomUUID();
    const facts: Facts = { action: "Unknown", accountId: undefined, principal: undefined };
    const log = (status: number, code: string, detail?: string): void => {
      deps.calls.add({
        ...facts,
        time: new Date(deps.now()).toISOString(),
        service: "s3",
        role: undefined,
        webIdentity: undefined,
        issuedKeyId: undefined,
        status,
        code,
        detail,
      });
    };
    try {
      const request = parseS3Request(wire);
      const operation = operationOf(request);
      facts.action = operation;
      const { latencyMs, failure } = deps.faults.next("s3", operation);
      if (latencyMs > 0) await deps.sleep(latencyMs);
      if (failure === "drop") {
        log(0, "ConnectionDropped", "fault injected");
        return "drop";
      }
      if (failure !== undefined) throw failure;
      const answer = run(operation, request, { deps, facts });
      log(answer.status, "OK");
      return { ...answer, headers: { ...answer.headers, "x-amz-request-id": requestId } };
    } catch (err) {
      const error = asAwsError(err, deps);
      log(error.status, error.code, error.message);
      return errorReply(error, wire, requestId);
    }
  };
}

interface Facts {
  action: string;
  accountId: string | undefined;
  principal: string | undefined;
}

function run(
  operation: S3Operation,
  request: S3Request,
  { deps, facts }: { readonly deps: ServiceDeps; readonly facts: Facts },
) {
  const { store } = deps;
  const nowMs = deps.now();
  const signer = signerOf(request.wire, deps, nowMs);
  facts.principal = signer?.arn;
  facts.accountId = signer?.accountId;
  const isAdministrator = signer?.kind === "administrator";
  if (operation !== "CreateBucket") {
    const bucket = findBucket(store, request.bucket);
    const isOwner = isAdministrator && signer.accountId === bucket.accountId;
    if (!isOwner && !isPublicRead(operation, request, deps)) throw accessDenied();
  }
  const accountId = isAdministrator ? signer.accountId : undefined;
  return runS3Operation(operation, { request, store, nowMs, accountId });
}

/** Who signed, or undefined for a request that does not claim to be signed. */
function signerOf(wire: WireRequest, { store }: ServiceDeps, nowMs: number): Principal | undefined {
  const isPresigned = new URLSearchParams(wire.query).has("X-Amz-Algorithm");
  if (!isPresigned && !wire.headers.has("authorization")) return undefined;
  try {
    return authenticate(wire, { service: "s3", credentials: store.credentials, nowMs });
  } catch (err) {
    throw err instanceof AwsError ? inWordsOfS3(err) : err;
  }
}

function isPublicRead(operation: S3Operation, request: S3Request, deps: ServiceDeps): boolean {
  if (operation !== "GetObject" && operation !== "HeadObject") return false;
  const bucket = findBucket(deps.store, request.bucket);
  const partition = deps.store.accounts.get(bucket.accountId)?.partition ?? "aws";
  if (bucket.policy === undefined || bucket.publicAccessBlock?.RestrictPublicBuckets === true) {
    return false;
  }
  const resource = `arn:${partition}:s3:::${bucket.name}/${request.key ?? ""}`;
  return allowsEverybody(bucket.policy, "s3:GetObject", resource);
}

function errorReply(error: AwsError, wire: WireRequest, requestId: string): Reply {
  const body = renderXml("Error", undefined, {
    Code: error.code,
    Message: error.message,
    Resource: wire.path,
    RequestId: requestId,
  });
  return {
    status: error.status,
    headers: {
      "content-type": "application/xml",
      "x-amz-request-id": requestId,
      connection: "close",
    },
    // An answer to HEAD has no body (RFC 9110 section 9.3.2).
    body: wire.method === "HEAD" ? "" : body,
  };
}
