import { randomUUID } from "node:crypto";
import type { CredentialRequest } from "../../metadata-shim/credentials/credentials.ts";
import { kubeletTokenSource } from "../../metadata-shim/credentials/kubelet-token.ts";
import {
  startCredentials,
  type CredentialsOptions,
  type RunningCredentials,
} from "../../metadata-shim/credentials/start-credentials.ts";
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
  /** Invents a pod whose token kubelet has written. */
  readyPod(names?: Partial<StagePod>): Promise<StagePod>;
  /** What the pod asks for: the role of the stage, unless that is changed. */
  wanted(pod: StagePod, role?: Partial<CredentialRequest["role"]>): CredentialRequest;
  /** Starts the credentials of all pods of the node, by kubelet's tokens unless that is changed. */
  start(changes?: Partial<CredentialsOptions>): RunningCredentials;
  /** Calls of AssumeRoleWithWebIdentity so far. */
  exchanges(): ReturnType<Aws["calls"]>;
  /** How many of them `act` causes. */
  exchangesDuring(act: () => Promise<unknown>): Promise<number>;
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
  let pods = 0;
  const newPod: CredentialStage["newPod"] = (names = {}) => ({
    podUid: randomUUID(),
    podName: `web-${(pods += 1)}`,
    namespace: "payments",
    serviceAccount: "api",
    serviceAccountUid: randomUUID(),
    ...names,
  });
  const writeToken: CredentialStage["writeToken"] = (pod, token = tokenOf(pod)) =>
    kubelet.write(pod.podUid, TOKEN_VOLUME.volumeName, TOKEN_VOLUME.fileName, token);
  const exchanges: CredentialStage["exchanges"] = () =>
    aws.calls().filter(({ action }) => action === "AssumeRoleWithWebIdentity");
  const running = resources.move();
  return {
    aws,
    cluster,
    kubelet,
    roleArn,
    newPod,
    tokenOf,
    writeToken,
    async readyPod(names) {
      const pod = newPod(names);
      await writeToken(pod);
      return pod;
    },
    wanted(pod, role = {}) {
      const { serviceAccountUid } = pod;
      const audience = "sts.amazonaws.com";
      return { caller: pod, role: { roleArn, audience, serviceAccountUid, ...role } };
    },
    start: (changes = {}) =>
      startCredentials({
        tokenSources: [kubeletTokenSource({ kubeletRoot: kubelet.root, ...TOKEN_VOLUME })],
        region: "eu-central-1",
        endpoint: aws.sts,
        caPem: aws.caPem,
        stsTimeoutMs: 10_000,
        durationSeconds: 3600,
        budget: { burst: 300, perMinute: 300 },
        patienceMs: 750,
        clock,
        monotonicNow: () => clock.now(),
        random: () => 0.5,
        ...changes,
      }),
    exchanges,
    async exchangesDuring(act) {
      const before = exchanges().length;
      await act();
      return exchanges().length - before;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
