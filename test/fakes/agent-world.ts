import { Registry } from "prom-client";
import type { KubeAnswer, KubeRequest } from "../../lib/kube/transport.ts";
import { AGENT_HOSTS } from "../../metadata-shim/container-credentials/answers.ts";
import {
  createContainerCredentialsApp,
  type ContainerCredentialsDeps,
} from "../../metadata-shim/container-credentials/app.ts";
import { ClusterKeys } from "../../metadata-shim/container-credentials/cluster-keys.ts";
import { createLifeOfPod } from "../../metadata-shim/container-credentials/life-of-pod.ts";
import { createTokenVerifier } from "../../metadata-shim/container-credentials/token-verifier.ts";
import { createMetrics } from "../../metadata-shim/metrics.ts";
import { newSigningKey, signToken, type SigningKey } from "../aws/fixtures/signing-keys.ts";
import { ask, type Reply } from "./ask.ts";
import { createCollectedLog } from "./collected-log.ts";
import { allowEveryPod, giveEveryPod } from "./given-role.ts";
import { createMovedClock, type MovedClock } from "./moved-clock.ts";
import { servePodsHere } from "./serve-pods-here.ts";

const AUDIENCE = "pods.eks.amazonaws.com";
const NODE = "node-1";
/** What the API server signs with. */
export const clusterKey = newSigningKey("RS256", "first");
/** Of nobody, until it is published. */
export const otherKey = newSigningKey("ES256", "second");

type Claims = Readonly<Record<string, unknown>>;

/** An API server that publishes keys and has pods, and can be out of order. */
export class FakeClusterApi {
  keys: readonly SigningKey[] = [clusterKey];
  isDown = false;
  requests: string[] = [];
  readonly pods = new Map<string, object>();

  constructor() {
    this.putPod({});
  }

  putPod({ uid = "pod-uid", nodeName = NODE, phase = "Running" }): void {
    const pod = { metadata: { uid }, spec: { nodeName, hostNetwork: true }, status: { phase } };
    this.pods.set("/api/v1/namespaces/ns/pods/app-0", pod);
  }

  async request({ path }: KubeRequest): Promise<KubeAnswer> {
    this.requests.push(path);
    if (this.isDown) throw new Error("the API server is down");
    const body =
      path === "/openid/v1/jwks" ? { keys: this.keys.map(({ jwk }) => jwk) } : this.pods.get(path);
    return { status: body === undefined ? 404 : 200, headers: {}, body };
  }
}

/** The endpoint as a pod reaches it, on a node with one pod. */
export interface AgentWorld extends AsyncDisposable {
  readonly clock: MovedClock;
  readonly api: FakeClusterApi;
  readonly forbidden: readonly string[];
  readonly lines: ReturnType<typeof createCollectedLog>["lines"];
  token(claims?: Claims, signer?: SigningKey): string;
  ask(headers: Readonly<Record<string, string>>, path?: string, method?: string): Promise<Reply>;
}

/** Starts one; `changes` replace what it is made of. */
export async function startAgent(
  changes: Partial<ContainerCredentialsDeps> = {},
): Promise<AgentWorld> {
  const clock = createMovedClock();
  const api = new FakeClusterApi();
  const { log, lines } = createCollectedLog();
  const forbidden: string[] = [];
  const nowSeconds = clock.now() / 1000;
  const keys = new ClusterKeys({ connection: api, timeoutMs: 1000, clock, log });
  const app = createContainerCredentialsApp({
    hosts: new Set(AGENT_HOSTS),
    verifyToken: createTokenVerifier({ keys, audience: AUDIENCE, clock }),
    lifeOfPod: createLifeOfPod({ connection: api, nodeName: NODE, timeoutMs: 1000, clock }),
    decideRole: allowEveryPod("arn:aws:iam::111122223333:role/team/app"),
    obtain: giveEveryPod(clock, ({ podUid }) => podUid),
    onForbidden: (_caller, reason) => forbidden.push(reason),
    log,
    metrics: createMetrics(new Registry()),
    ...changes,
  });
  const server = await servePodsHere(app);
  return {
    clock,
    api,
    forbidden,
    lines,
    token: (claims = {}, signer = clusterKey) =>
      signToken(
        signer,
        { alg: signer.algorithm, kid: signer.jwk["kid"] },
        {
          iss: "https://issuer.example",
          sub: "system:serviceaccount:ns:app",
          aud: [AUDIENCE],
          iat: nowSeconds,
          nbf: nowSeconds,
          exp: nowSeconds + 3600,
          "kubernetes.io": {
            namespace: "ns",
            serviceaccount: { name: "app", uid: "sa-uid" },
            pod: { name: "app-0", uid: "pod-uid" },
          },
          ...claims,
        },
      ),
    ask: (headers, path = "/v1/credentials", method = "GET") =>
      ask({
        host: "127.0.0.1",
        port: server.port,
        method,
        path,
        headers: { host: "169.254.170.23", ...headers },
      }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
