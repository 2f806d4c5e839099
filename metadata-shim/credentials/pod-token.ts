import type { CredentialRequest } from "./credentials.ts";

/** A ServiceAccount token of one pod, or why there is none. */
export type PodToken =
  | { readonly status: "found"; readonly token: string }
  /** There is none of this pod for this audience. */
  | {
      readonly status: "missing";
      readonly message: string;
      /** Whether what was found speaks against who asks, so that nothing may stand in for a token. */
      readonly isDisputed?: boolean | undefined;
    }
  /** Nobody could say. */
  | { readonly status: "unavailable"; readonly message: string };

/** Where tokens come from. Never rejects, and never tells a token in a message. */
export type PodTokenSource = (request: CredentialRequest) => Promise<PodToken>;

/** Asks the sources in their order, and takes the first token. */
export function firstPodToken(sources: readonly PodTokenSource[]): PodTokenSource {
  return async (request) => {
    const without: Exclude<PodToken, { status: "found" }>[] = [];
    for (const source of sources) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- the next is asked only when this one has none
      const token = await source(request);
      if (token.status === "found") return token;
      without.push(token);
    }
    const message = without.map((one) => one.message).join("; ");
    if (without.some(({ status }) => status === "unavailable")) {
      return { status: "unavailable", message };
    }
    const isDisputed = without.some((one) => one.status === "missing" && one.isDisputed === true);
    return { status: "missing", message, isDisputed };
  };
}
