import type { Soon } from "../../lib/soon.ts";

/** The pod that a request comes from, and what of it decides the answer. */
export interface Caller {
  readonly podUid: string;
  readonly podName: string;
  readonly namespace: string;
  /** Empty for a pod that runs as none, as a static pod does. */
  readonly serviceAccount: string;
  /** As {@link normaliseAddress} writes it. */
  readonly address: string;
  /** Those that are read, by their keys. */
  readonly podAnnotations: Readonly<Record<string, string>>;
  /** Whether IMDSv1 is answered, by the annotation of the pod. */
  readonly httpTokens?: HttpTokens | undefined;
}

/** EC2's own term: with `required` only requests with a session token (IMDSv2) are answered. */
export type HttpTokens = "required" | "optional";

/** Annotation of pods and namespaces whose value is an {@link HttpTokens}. */
export const HTTP_TOKENS_KEY = "irsa-anywhere.io/http-tokens";

/** The value of the annotation; undefined for any other text and for none. */
export function httpTokensOf(text: string | undefined): HttpTokens | undefined {
  return text === "required" || text === "optional" ? text : undefined;
}

/** Which pod it is, for humans and for Events. */
export interface PodReference {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
}

export type CallerDecision =
  | { readonly status: "known"; readonly caller: Caller }
  /** No pod of this node has the address, also after a wait. */
  | { readonly status: "unknown" }
  /** More than one pod has the address: none is picked. */
  | { readonly status: "ambiguous"; readonly pods: readonly PodReference[] }
  /** Nobody can say: the pods are not listed yet, or what is known of them could not be proven. */
  | { readonly status: "unavailable"; readonly reason: string };

/**
 * One TCP connection, seen from here. What was proven of a connection is remembered with this very
 * object: pass the same one (such as the socket) for each request on it.
 */
export interface CallerConnection {
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/** @param address The remote address, in any spelling. */
export type IdentifyCaller = (
  address: string,
  connection: CallerConnection,
) => Soon<CallerDecision>;
