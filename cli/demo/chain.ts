import { connect } from "../../lib/kube/connection.ts";
import type { Logger } from "../../lib/log.ts";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { startIssuer, type RunningIssuer } from "../../oidc-issuer/main.ts";
import { startAws, type Aws } from "../../test/aws/start-aws.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook, type RunningWebhook } from "../../webhook/main.ts";
import type { Cluster } from "./cluster.ts";
import type { Narrator } from "./narrator.ts";
import { readyWithin } from "./ready-within.ts";
import type { Parts } from "./scenario.ts";
import { prepareStage, type Stage } from "./stage.ts";

const ISSUER_HOST = "oidc.demo.example";
const ISSUER = `https://${ISSUER_HOST}/reports-cluster`;

/** Longest wait until the issuer has keys, or the webhook its ServiceAccounts, in milliseconds. */
const READY_TIMEOUT_MS = 30_000;

/** Starts a Kubernetes API whose tokens carry this issuer. */
export type StartCluster = (stage: Stage, issuer: string) => Promise<Cluster>;

export interface ChainOptions {
  readonly narrator: Narrator;
  readonly log: Logger;
  readonly nowMs: number;
  /** More flags for the webhook. */
  readonly webhookFlags?: readonly string[];
}

/** Every part of the chain, running on loopback; disposing takes all of them down. */
export interface Chain extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly issuer: RunningIssuer;
  readonly aws: Aws;
  readonly webhook: RunningWebhook;
  readonly parts: Parts;
}

/** Starts a cluster, the real issuer, the stand-in of AWS and the real webhook, in this order. */
export async function startChain(
  startCluster: StartCluster,
  { narrator, log, nowMs, webhookFlags = [] }: ChainOptions,
): Promise<Chain> {
  await using running = new AsyncDisposableStack();
  const stage = running.use(await prepareStage(["localhost", "127.0.0.1", ISSUER_HOST], nowMs));
  const cluster = running.use(
    await narrator.step(
      "Start a Kubernetes API server",
      "In your cluster: kube-apiserver, started with --service-account-issuer=URL. It signs the tokens.",
      () => startCluster(stage, ISSUER),
    ),
  );
  narrator.show([cluster.name, ...cluster.apiServers]);
  const issuer = running.use(await runIssuer(stage, cluster, { narrator, log }));
  const aws = running.use(await runAws(stage, issuer, narrator));
  const webhook = running.use(await runWebhook(stage, cluster, { narrator, log, webhookFlags }));
  const [administrator] = aws.accounts;
  if (administrator === undefined) throw new Error("Expected the stand-in to have an account");
  const parts: Parts = {
    kubernetes: connect({ kubeconfig: cluster.kubeconfig }),
    webhook: { url: `https://127.0.0.1:${webhook.port}/mutate`, caPem: stage.caPem },
    aws: { sts: aws.sts, iam: aws.iam, caPem: aws.caPem, administrator },
    issuer: ISSUER,
    podFolder: stage.folder,
  };
  const all = running.move();
  return { cluster, issuer, aws, webhook, parts, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

async function runIssuer(
  stage: Stage,
  cluster: Cluster,
  { narrator, log }: { readonly narrator: Narrator; readonly log: Logger },
): Promise<RunningIssuer> {
  const flags = ["--issuer", ISSUER, "--kubeconfig", cluster.kubeconfig, ...servingFlags(stage)];
  for (const url of cluster.apiServers) flags.push("--api-server", url);
  const issuer = await narrator.step(
    "Start irsa issuer, which publishes the cluster's public keys",
    "In your cluster: a Deployment behind a public name, or static files that it writes.",
    async () => {
      const started = await startIssuer(issuerConfig.parse(flags, {}), { log });
      const ready = started.whenReady();
      return readyWithin(READY_TIMEOUT_MS, { name: "The issuer", started, ready });
    },
  );
  narrator.show([
    `${ISSUER}/.well-known/openid-configuration`,
    `served here on 127.0.0.1:${issuer.port}`,
  ]);
  return issuer;
}

async function runAws(stage: Stage, issuer: RunningIssuer, narrator: Narrator): Promise<Aws> {
  const aws = await narrator.step(
    "Start a stand-in of AWS that really verifies",
    "In the world: STS and IAM. The stand-in fetches the documents over TLS, checks every signature\n" +
      "and trust policy, and has no mode that accepts everything.",
    () =>
      startAws({
        trustCaPems: [stage.caPem],
        resolve: { [ISSUER_HOST]: `127.0.0.1:${issuer.port}` },
      }),
  );
  narrator.show([`STS ${aws.sts}`, `IAM ${aws.iam}`]);
  return aws;
}

async function runWebhook(
  stage: Stage,
  cluster: Cluster,
  options: Pick<ChainOptions, "narrator" | "log"> & { readonly webhookFlags: readonly string[] },
): Promise<RunningWebhook> {
  const { narrator, log, webhookFlags } = options;
  const own = [
    "--kubeconfig",
    cluster.kubeconfig,
    "--in-cluster=false",
    "--audit=false",
    ...servingFlags(stage),
  ];
  const webhook = await narrator.step(
    "Start irsa webhook",
    "In your cluster: a Deployment of two replicas that the API server asks about each new pod.",
    async () => {
      const config = webhookConfig.parse([...own, ...webhookFlags], {});
      const started = await startWebhook(config, { log, env: {} });
      const { whenReady: ready } = started;
      return readyWithin(READY_TIMEOUT_MS, { name: "The webhook", started, ready });
    },
  );
  narrator.show([`https://127.0.0.1:${webhook.port}/mutate`]);
  return webhook;
}

/** Loopback, any free ports, and the stage's certificate. */
function servingFlags({ certFile, keyFile }: Stage): readonly string[] {
  const listen = ["--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"];
  return [...listen, "--tls-cert", certFile, "--tls-key", keyFile];
}
