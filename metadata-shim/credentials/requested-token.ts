import { z } from "zod";
import { reasonOf } from "../../lib/errors.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { PodTokenSource } from "./pod-token.ts";
import { tokenProblem } from "./token-problem.ts";

/** KEP-1205: the least that an API server grants. It is used at once and thrown away. */
const EXPIRATION_SECONDS = 600;

/** What it says of a pod that is gone, was made anew, or runs as another ServiceAccount. */
const NO_SUCH_POD: ReadonlySet<number> = new Set([400, 404, 409]);

const Answer = z.looseObject({ status: z.looseObject({ token: z.string() }) });

/**
 * Tokens that the API server makes on request, bound to the pod: it refuses one for a pod that is
 * gone, that has another UID by now, or that runs as another ServiceAccount
 * (authentication.k8s.io/v1 TokenRequest). The right to ask should be fenced, see the documentation.
 */
export function requestedTokenSource({
  connection,
  timeoutMs,
}: {
  readonly connection: Pick<Transport, "request">;
  readonly timeoutMs: number;
}): PodTokenSource {
  return async (request) => {
    const { caller, role } = request;
    const [namespace, name] = [caller.namespace, caller.serviceAccount].map(encodeURIComponent);
    try {
      const { status, body } = await connection.request({
        method: "POST",
        path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
        body: {
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenRequest",
          spec: {
            audiences: [role.audience],
            expirationSeconds: EXPIRATION_SECONDS,
            boundObjectRef: {
              apiVersion: "v1",
              kind: "Pod",
              name: caller.podName,
              uid: caller.podUid,
            },
          },
        },
        timeoutMs,
      });
      const { data } = Answer.safeParse(body);
      if (status >= 300 || data === undefined) {
        const isOutage = status >= 500 || status === 429;
        const message = `Cannot get a token for the pod: the API server ${refusalText(status, body)}`;
        if (isOutage) return { status: "unavailable", message };
        return { status: "missing", message, isDisputed: NO_SUCH_POD.has(status) };
      }
      const { token } = data.status;
      const wrong = tokenProblem(token, request);
      if (wrong === undefined) return { status: "found", token };
      const { problem, isDisputed } = wrong;
      const message = `Cannot use the token of the API server: ${problem}`;
      return { status: "missing", message, isDisputed };
    } catch (err) {
      return { status: "unavailable", message: reasonOf(err) };
    }
  };
}
