import { text } from "node:stream/consumers";
import { z } from "zod";
import { listen } from "../../lib/http.ts";

const TokenRequest = z.object({
  kind: z.literal("TokenRequest"),
  spec: z.object({
    audiences: z.array(z.string()),
    expirationSeconds: z.int().min(600),
    boundObjectRef: z.object({
      apiVersion: z.literal("v1"),
      kind: z.literal("Pod"),
      name: z.string(),
      uid: z.string(),
    }),
  }),
});

/** A pod for which tokens are made. */
export interface TokenPod {
  readonly podUid: string;
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The one resource of an API server that makes tokens, with its rules for tokens bound to pods. */
export interface TokenRequestServer extends AsyncDisposable {
  readonly url: string;
  /** Tokens made so far. */
  readonly made: number;
  readonly pods: Map<string, TokenPod>;
}

/**
 * Listens on this machine and signs by `sign`. Refusals are those that kube-apiserver 1.35 was seen
 * to give: 404 for an unknown pod, 409 for another UID,
 * 400 for a pod of another ServiceAccount.
 */
export async function startTokenRequestServer(
  sign: (pod: TokenPod, audiences: readonly string[]) => string,
): Promise<TokenRequestServer> {
  const pods = new Map<string, TokenPod>();
  let made = 0;
  const answerTo = (path: string, body: unknown): [status: number, answer: object] => {
    const [, namespace, serviceAccount] =
      /^\/api\/v1\/namespaces\/([^/]+)\/serviceaccounts\/([^/]+)\/token$/.exec(path) ?? [];
    const request = TokenRequest.safeParse(body).data;
    if (request === undefined) return refusal(400, "BadRequest", "expected a TokenRequest");
    const { boundObjectRef, audiences } = request.spec;
    const pod = pods.get(boundObjectRef.name);
    if (pod === undefined || pod.namespace !== namespace) {
      return refusal(404, "NotFound", `pods "${boundObjectRef.name}" not found`);
    }
    if (pod.podUid !== boundObjectRef.uid) {
      const message = `the UID in the bound object reference (${boundObjectRef.uid}) does not match the UID in record`;
      return refusal(409, "Conflict", message);
    }
    if (pod.serviceAccount !== serviceAccount) {
      const message = `cannot bind token for serviceaccount "${serviceAccount}" to pod running with different serviceaccount name.`;
      return refusal(400, "BadRequest", message);
    }
    made += 1;
    return [201, { kind: "TokenRequest", status: { token: sign(pod, audiences) } }];
  };
  const server = await listen(
    (req, res) => {
      const answer = async (): Promise<void> => {
        const [status, body] = answerTo(req.url ?? "", JSON.parse(await text(req)));
        res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      };
      void answer();
    },
    { port: 0, host: "127.0.0.1", drainMs: 100 },
  );
  return {
    url: `http://127.0.0.1:${server.port}`,
    get made() {
      return made;
    },
    pods,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function refusal(code: number, reason: string, message: string): [number, object] {
  return [code, { kind: "Status", status: "Failure", code, reason, message }];
}
