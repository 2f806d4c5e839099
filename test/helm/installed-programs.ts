import { connect } from "../../lib/kube/connection.ts";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { startIssuer, type RunningIssuer } from "../../oidc-issuer/main.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook, type RunningWebhook } from "../../webhook/main.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import type { ControlPlane } from "../kubernetes/control-plane.ts";
import { objectsIn, podOf } from "./rendered-chart.ts";
import { stringify } from "yaml";

/** A program that runs as its Deployment says, but in this process. */
interface Running<T> extends AsyncDisposable {
  readonly running: T;
  /** What it logged. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

/** Runs the webhook that is installed in the cluster: its flags, its settings, its ServiceAccount. */
export async function startInstalledWebhook(
  plane: ControlPlane,
  namespace: string,
): Promise<Running<RunningWebhook>> {
  const { flags, env, serviceAccount } = await deployed(plane, namespace, "irsa-webhook");
  const { kubeconfig } = await plane.asServiceAccount(namespace, serviceAccount);
  // Without nodes nobody waits for it to become unready.
  const own = ["--shutdown-delay-seconds=0", "--host=127.0.0.1", "--port=0", "--metrics-port=0"];
  const config = webhookConfig.parse([...flags, ...own, "--kubeconfig", kubeconfig], env);
  const { log, lines } = createCollectedLog();
  const running = await startWebhook(config, { log, env: {} });
  return { running, lines, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

/** The same for the issuer. */
export async function startInstalledIssuer(
  plane: ControlPlane,
  namespace: string,
): Promise<Running<RunningIssuer>> {
  const { flags, env, serviceAccount } = await deployed(plane, namespace, "irsa-issuer");
  const { kubeconfig } = await plane.asServiceAccount(namespace, serviceAccount);
  const own = ["--host=127.0.0.1", "--port=0", "--metrics-port=0", "--kubeconfig", kubeconfig];
  const collected = createCollectedLog();
  const running = await startIssuer(issuerConfig.parse([...flags, ...own], env), collected);
  const { lines } = collected;
  return { running, lines, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

async function deployed(
  plane: ControlPlane,
  namespace: string,
  name: string,
): Promise<{
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
}> {
  const kube = connect({ kubeconfig: plane.kubeconfig });
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
  const { body } = await kube.request({ path, timeoutMs: 10_000 });
  const { container, env, template } = podOf(objectsIn(stringify(body)), name);
  return { flags: container.args.slice(1), env, serviceAccount: template.spec.serviceAccountName };
}
