import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { z } from "zod";
import { prepareStage, type Stage } from "../../../cli/demo/stage.ts";
import { connect, type KubeConnection } from "../../../lib/kube/connection.ts";
import { webhookConfig } from "../../../webhook/config.ts";
import { mutatingWebhookConfiguration } from "../../../webhook/coverage/webhook-configurations.ts";
import { startWebhook, type RunningWebhook } from "../../../webhook/main.ts";
import { startApiProxy, type ApiProxy } from "../../fakes/api-proxy.ts";
import { createCollectedLog } from "../../fakes/collected-log.ts";
import { untilWithin } from "../../fakes/until.ts";
import { startControlPlane, type ControlPlane } from "../../kubernetes/control-plane.ts";
import { createKubeClients } from "../../kubernetes/kube-clients.ts";
import { accountPath, ClusterChanges } from "./cluster-changes.ts";

/** Of the API servers. */
export const FLAGS = ["--etcd-compaction-interval=1s"];
/** Of all ServiceAccounts that have one from the start. */
export const ROLE = "arn:aws:iam::111122223333:role/reader";
/** A copy that has just been told something is never this old. */
export const FRESH_SECONDS = 2;

/** A list-watch tries again at most this late, plus what a busy machine adds. */
export const until = untilWithin({ limitMs: 90_000, pauseMs: 100 });

const Reviewed = z.object({
  response: z.looseObject({ auditAnnotations: z.looseObject({ reason: z.string() }) }),
});

/**
 * Two API servers that share their data, and a webhook that follows the first through a proxy which can
 * be told to fail.
 */
export class FollowingWebhook {
  readonly plane: ControlPlane;
  /** By the second API server, which does not fail. */
  readonly kube: KubeConnection;
  readonly changes: ClusterChanges;
  readonly lines: ReturnType<typeof createCollectedLog>["lines"];
  readonly #stage: Stage;
  readonly #proxy: ApiProxy;
  readonly #webhook: RunningWebhook;
  #touches = 0;

  private constructor(parts: {
    readonly stage: Stage;
    readonly plane: ControlPlane;
    readonly kube: KubeConnection;
    readonly proxy: ApiProxy;
    readonly webhook: RunningWebhook;
    readonly lines: FollowingWebhook["lines"];
  }) {
    this.plane = parts.plane;
    this.kube = parts.kube;
    this.changes = new ClusterChanges(parts.kube);
    this.lines = parts.lines;
    this.#stage = parts.stage;
    this.#proxy = parts.proxy;
    this.#webhook = parts.webhook;
  }

  /** Resolves when its configuration is in force. Whatever it starts is on `stack`. */
  static async start(stack: AsyncDisposableStack): Promise<FollowingWebhook> {
    const stage = stack.use(await prepareStage(["127.0.0.1"], Date.now()));
    const plane = stack.use(
      await startControlPlane({ apiServers: [{ flags: FLAGS }, { flags: FLAGS }] }),
    );
    const kube = connect({ kubeconfig: plane.kubeconfig, kubeApi: plane.apiServers[1]?.url });
    const { url, caPem } = plane;
    const proxy = stack.use(await startApiProxy({ url, caPem, keyPair: stage.keyPair }));
    const kubeconfig = await accessThroughProxy({ stage, plane, kube, proxy });
    const flags = ["--kubeconfig", kubeconfig, "--host=127.0.0.1", "--port=0"];
    flags.push("--metrics-port=0", "--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
    flags.push("--in-cluster=false", "--audit=false");
    const { log, lines } = createCollectedLog();
    const webhook = stack.use(await startWebhook(webhookConfig.parse(flags, {}), { env: {}, log }));
    await webhook.whenReady;
    const following = new FollowingWebhook({ stage, plane, kube, proxy, webhook, lines });
    const { changes } = following;
    const clientConfig = { url: `https://127.0.0.1:${webhook.port}`, caPem: stage.caPem };
    await changes.post(
      "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
      mutatingWebhookConfiguration({ name: "irsa-anywhere", clientConfig }),
    );
    await changes.addNamespace("probe", "enabled");
    await changes.addAccount("probe", "steady", ROLE);
    await until("the webhook is in force", async () => {
      return (await changes.createPod("probe", "steady")).roleArn === ROLE;
    });
    return following;
  }

  /** Lets the first API server answer so, and ends its watches. */
  failWith(
    fault: ReturnType<ApiProxy["faultOf"]>,
    isHit: (request: Parameters<ApiProxy["faultOf"]>[0]) => boolean = () => true,
  ): void {
    this.#proxy.faultOf = (request) => (isHit(request) ? fault : undefined);
    this.#proxy.cutWatches();
  }

  stopFailing(): void {
    this.#proxy.faultOf = () => undefined;
  }

  /** Changes something of each kind that it follows, until the metric says that it was told. */
  async untilFresh(): Promise<void> {
    await until("the metric says that all is fresh", async () => {
      this.#touches += 1;
      const annotations = { "example.com/touched": String(this.#touches) };
      await this.changes.patch("/api/v1/namespaces/probe", annotations);
      await this.changes.patch(accountPath("probe", "steady"), annotations);
      return (await this.staleSeconds()) < FRESH_SECONDS;
    });
  }

  /** Asks the webhook itself, for Kubernetes refuses a pod whose ServiceAccount is gone before that. */
  async reasonFor(namespace: string, serviceAccountName: string): Promise<string> {
    const object = { spec: { serviceAccountName, containers: [{ name: "app" }] } };
    const req = httpsRequest({
      host: "127.0.0.1",
      port: this.#webhook.port,
      ca: this.#stage.caPem,
      agent: false,
      path: "/mutate",
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    req.end(JSON.stringify({ request: { uid: "u", namespace, object } }));
    const [res] = await once(req, "response");
    return Reviewed.parse(await json(res)).response.auditAnnotations.reason;
  }

  /** By its metric. */
  async staleSeconds(): Promise<number> {
    const text = await this.#metrics();
    return Number(/^irsa_webhook_cache_stale_seconds (\S+)$/m.exec(text)?.[1]);
  }

  /** How often it has asked for single objects so far. */
  async liveReads(): Promise<number> {
    const text = await this.#metrics();
    const counters = text.matchAll(/^irsa_webhook_\w+_live_reads_total\S* (\d+)$/gm);
    return [...counters].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async #metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#webhook.metricsPort}/metrics`)).text();
  }
}

/** The rights that docs/webhook.md lists for a webhook without audit and own certificates. */
async function accessThroughProxy({
  stage,
  plane,
  kube,
  proxy,
}: {
  readonly stage: Stage;
  readonly plane: ControlPlane;
  readonly kube: KubeConnection;
  readonly proxy: ApiProxy;
}): Promise<string> {
  const changes = new ClusterChanges(kube);
  const name = "irsa-webhook";
  await plane.createServiceAccount("eks", name);
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const resources = ["serviceaccounts", "namespaces"];
  await changes.post(`${rbac}/clusterroles`, {
    metadata: { name },
    rules: [{ apiGroups: [""], resources, verbs: ["get", "list", "watch"] }],
  });
  await changes.post(`${rbac}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", namespace: "eks", name }],
  });
  const { token } = await plane.requestToken({ namespace: "eks", serviceAccount: name });
  const endpoint = { url: proxy.url, caPem: stage.caPem };
  const path = join(stage.folder, "webhook.kubeconfig");
  await writeFile(path, createKubeClients(endpoint, name, { token }).kubeConfig.exportConfig());
  return path;
}
