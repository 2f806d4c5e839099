import { get } from "node:https";
import type { ClusterCredentials } from "./credentials.ts";

const TIMEOUT_MS = 5000;

/**
 * Whether a component answers an admin's GET with 200. Its certificate has to be of this control plane,
 * so that nobody else who listens there is taken for it.
 */
export async function answersOk(
  url: string,
  { caPem: ca, admin }: Pick<ClusterCredentials, "caPem" | "admin">,
): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  get(url, { ca, ...admin, agent: false, signal }, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  }).on("error", reject);
  return promise;
}
