import { z } from "zod";
import { quoted } from "../../lib/quoted.ts";
import type { ReviewRequest } from "../admission/review.ts";

/** What a request for a token says about who asks, and for which pod. */
export interface TokenQuestion {
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string;
  /** Where the caller runs, as the API server knows it by the caller's own token. */
  readonly callerNode: string;
}

/** Where a pod is; undefined for one that is on no node yet. */
export interface PodPlace {
  readonly uid: string;
  readonly nodeName: string | undefined;
}

const TokenRequest = z.looseObject({
  spec: z.looseObject({
    boundObjectRef: z
      .looseObject({ kind: z.string(), name: z.string().min(1), uid: z.string().min(1) })
      .nullish(),
  }),
});

const UserInfo = z.object({
  username: z.string(),
  extra: z.record(z.string(), z.array(z.string())).nullish(),
});

/** Kubernetes, "Managing Service Accounts", claims of a token that is bound to a pod. */
const NODE_CLAIM = "authentication.kubernetes.io/node-name";

/** Whether a review is about a token that somebody asks for. */
export function isTokenRequest({ operation, resource }: ReviewRequest): boolean {
  return operation === "CREATE" && resource === "serviceaccounts/token";
}

/** The name of who sent a review; empty when there is none. */
export function requesterOf({ userInfo }: ReviewRequest): string {
  return UserInfo.safeParse(userInfo).data?.username ?? "";
}

/** Reads what a request for a token says; a sentence when nobody could judge it. */
export function parseTokenQuestion(request: ReviewRequest): TokenQuestion | string {
  const { namespace, userInfo } = request;
  const requester = requesterOf(request);
  const [callerNode] = UserInfo.safeParse(userInfo).data?.extra?.[NODE_CLAIM] ?? [];
  if (callerNode === undefined || callerNode === "") {
    return `Cannot make a token for ${quoted(requester)}: its own token names no node`;
  }
  const bound = TokenRequest.safeParse(request.object).data?.spec.boundObjectRef;
  if (bound?.kind !== "Pod") {
    return `Cannot make a token for ${quoted(requester)} that is bound to no pod by name and UID`;
  }
  return { namespace, podName: bound.name, podUid: bound.uid, callerNode };
}

/**
 * Why a caller may not have a token of a pod: it may have those of the pods on its own node alone. An
 * expression of the API server cannot hold this, since it sees no other object.
 *
 * @param pod The pod of that name; undefined when there is none.
 */
export function tokenRequestProblem(
  { namespace, podName, podUid, callerNode }: TokenQuestion,
  pod: PodPlace | undefined,
): string | undefined {
  const named = `pod ${quoted(`${namespace}/${podName}`)}`;
  if (pod === undefined) return `Cannot make a token for ${named}: it does not exist`;
  if (pod.uid !== podUid) return `Cannot make a token for ${named}: it has another UID`;
  if (pod.nodeName === callerNode) return undefined;
  const where = pod.nodeName === undefined ? "on no node" : "on another node";
  return `Cannot make a token for ${named}: it is ${where}, the caller on ${quoted(callerNode)}`;
}
