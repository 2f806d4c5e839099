import { randomUUID } from "node:crypto";
import { registerCluster, type Cluster } from "../aws/fixtures/cluster.ts";
import { startIssuer } from "../aws/fixtures/issuer-server.ts";
import { newSigningKey } from "../aws/fixtures/signing-keys.ts";
import { startAws, type Aws } from "../aws/start-aws.ts";
import { createKubeletFolder, type KubeletFolder } from "./kubelet-folder.ts";
import type { MovedClock } from "./moved-clock.ts";

/** A pod with all that its token says of it. */
export interface StagePod {
  readonly podUid: string;
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly serviceAccountUid: string;
}

/** AWS that verifies, a cluster that it knows, and kubelet's folder of a node of that cluster. */
export interface CredentialStage extends AsyncDisposable {
  readonly aws: Aws;
  readonly cluster: Cluster;
  readonly kubelet: KubeletFolder;
  /** A role that every ServiceAccount of the cluster may take. */
  readonly roleArn: string;
  /** Invents a pod; it has no token yet. */
  newPod(names?: Partial<StagePod>): StagePod;
  /** A token of a pod as an API server signs it now, with changed claims. */
  tokenOf(pod: StagePod, claims?: Readonly<Record<string, unknown>>): string;
  /** Has kubelet write the token of a pod, a new one or this. */
  writeToken(pod: StagePod, token?: string): Promise<void>;
  /** Calls of AssumeRoleWithWebIdentity so far. */
  exchanges(): ReturnType<Aws["calls"]>;
}

/** As AWS's webhook and ours name them. */
export const TOKEN_VOLUME = { volumeName: "aws-iam-token", fileName: "token" };

const TOKEN_SECONDS = 3600;

export async function startCredentialStage(clock: MovedClock): Promise<CredentialStage> {
  await using resources = new AsyncDisposableStack();
  const issuer = resources.use(await startIssuer());
  const aws = resources.use(await startAws({ clock, trustCaPems: [issuer.authority.cert] }));
  const kubelet = resources.use(await createKubeletFolder());
  const key = newSigningKey("ES256");
  issuer.publish([key.jwk]);
  const nowSeconds = (): number => Math.floor(clock.now() / 1000);
  const cluster = await registerCluster(aws, {
    issuer: issuer.url,
    key,
    nowSeconds: nowSeconds(),
  });
  const roleArn = await cluster.createRole("app");
  const tokenOf: CredentialStage["tokenOf"] = (pod, claims = {}) =>
    cluster.token({
      sub: `system:serviceaccount:${pod.namespace}:${pod.serviceAccount}`,
      iat: nowSeconds(),
      exp: nowSeconds() + TOKEN_SECONDS,
      "kubernetes.io": {
        namespace: pod.namespace,
        pod: { name: pod.podName, uid: pod.podUid },
        serviceaccount: { name: pod.serviceAccount, uid: pod.serviceAccountUid },
      },
      ...claims,
    });
  const running = resources.move();
  let pods = 0;
  return {
    aws,
    cluster,
    kubelet,
    roleArn,
    newPod: (names = {}) => ({
      podUid: randomUUID(),
      podName: `web-${(pods += 1)}`,
      namespace: "payments",
      serviceAccount: "api",
      serviceAccountUid: randomUUID(),
      ...names,
    }),
    tokenOf,
    writeToken: (pod, token = tokenOf(pod)) =>
      kubelet.write(pod.podUid, TOKEN_VOLUME.volumeName, TOKEN_VOLUME.fileName, token),
    exchanges: () => aws.calls().filter(({ action }) => action === "AssumeRoleWithWebIdentity"),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
