import { Registry } from "prom-client";
import { z } from "zod";
import { connect } from "../../lib/kube/connection.ts";
import { startLease, type Lease } from "../../lib/kube/lease.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";
import { WebhookConfigurationObject } from "../../webhook/certificates/ca-bundle-patch.ts";
import { createCertificateMetrics } from "../../webhook/certificates/certificate-metrics.ts";
import type { CertificateSettings } from "../../webhook/certificates/certificate-state.ts";
import {
  startOwnCertificates,
  type OwnCertificates,
} from "../../webhook/certificates/own-certificates.ts";
import { parseSecretData } from "../../webhook/certificates/secret-data.ts";
import { createCollectedLog } from "./collected-log.ts";
import { createMovedClock, type MovedClock } from "./moved-clock.ts";
import { startObjectServer, type ObjectServer } from "./object-server.ts";
import { until } from "./until.ts";

export const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
export const MUTATING = `${ADMISSION}/mutatingwebhookconfigurations/irsa-anywhere`;
export const VALIDATING = `${ADMISSION}/validatingwebhookconfigurations/irsa-anywhere`;
export const SECRETS = "/api/v1/namespaces/eks/secrets";
export const SECRET = `${SECRETS}/webhook-tls`;
export const LEASE = "/apis/coordination.k8s.io/v1/namespaces/eks/leases/webhook-tls";
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const START_MS = Date.UTC(2026, 0, 1);
export const SETTINGS: CertificateSettings = {
  names: ["webhook", "webhook.eks.svc"],
  certificateLifetimeMs: 10 * DAY_MS,
  renewBeforeMs: 3 * DAY_MS,
  caLifetimeMs: 30 * DAY_MS,
  caOverlapMs: DAY_MS,
};

export const STARTED = { clock: { now: () => START_MS }, settings: SETTINGS };

const Secret = z.looseObject({ data: z.record(z.string(), z.string()) });

/** A replica of the webhook, as far as its certificates go. */
export interface Replica {
  readonly lease: Lease;
  readonly own: OwnCertificates;
  readonly clock: MovedClock;
  /** All pairs that it was told to serve. */
  readonly served: readonly KeyPair[];
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly registry: Registry;
}

/** An API server, and replicas that share what it has. */
export interface CertificateWorld extends AsyncDisposable {
  readonly server: ObjectServer;
  startReplica(
    name: string,
    options?: { readonly startMs?: number; readonly webhookConfigurations?: readonly string[] },
  ): Replica;
  /** The bundles of a configuration, as text. */
  storedBundles(path: string): readonly string[];
  /** What the Secret has. */
  storedState(): ReturnType<typeof parseSecretData>;
}

/** Starts the API server, without any object. */
export async function startCertificateWorld(): Promise<CertificateWorld> {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startObjectServer());

  function startReplica(
    name: string,
    {
      startMs = START_MS,
      webhookConfigurations = ["irsa-anywhere"],
    }: Parameters<CertificateWorld["startReplica"]>[1] = {},
  ): Replica {
    const connection = connect({ kubeApi: `${server.url}/${name}` });
    const clock = createMovedClock(startMs);
    const { log, lines } = createCollectedLog();
    const registry = new Registry();
    const common = { connection, clock, log, namespace: "eks", random: () => 0 };
    const lease = stack.use(startLease({ ...common, name: "webhook-tls", identity: name }));
    const served: KeyPair[] = [];
    const own = stack.use(
      startOwnCertificates({
        ...common,
        lease,
        secretName: "webhook-tls",
        webhookConfigurations,
        settings: SETTINGS,
        metrics: createCertificateMetrics(registry),
        onServing: (pair) => served.push(pair),
      }),
    );
    return { lease, own, clock, served, lines, registry };
  }

  function storedBundles(path: string): readonly string[] {
    const { webhooks } = WebhookConfigurationObject.parse(server.objects.get(path));
    return (webhooks ?? []).map(({ clientConfig }) =>
      Buffer.from(clientConfig.caBundle ?? "", "base64").toString("utf8"),
    );
  }

  function storedState(): ReturnType<typeof parseSecretData> {
    return parseSecretData(Secret.parse(server.objects.get(SECRET)).data);
  }

  return {
    server,
    startReplica,
    storedBundles,
    storedState,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A configuration with some webhooks, and much that is not ours to change. */
export function configuration(...bundles: readonly (string | undefined)[]): object {
  return {
    metadata: { labels: { app: "irsa" }, annotations: { note: "by hand" } },
    webhooks: bundles.map((caBundle, i) => ({
      name: `w${i}.irsa-anywhere.io`,
      failurePolicy: "Fail",
      unheardOf: { of: ["fields"] },
      clientConfig: { service: { name: "webhook", namespace: "eks", path: "/mutate" }, caBundle },
    })),
  };
}

/** Lets time go by in steps that lease and rotation live through, until something is so. */
export async function pass(
  what: string,
  holds: () => boolean,
  ...replicas: readonly Replica[]
): Promise<void> {
  let turns = 0;
  await until(what, () => {
    turns += 1;
    if (turns % 20 === 0) for (const { clock } of replicas) clock.advance(500);
    return holds();
  });
}

/** Moves the clock far, which the Lease does not survive, and lets the replica win it back. */
export async function jump(ms: number, ...replicas: readonly Replica[]): Promise<void> {
  for (const { clock } of replicas) clock.advance(ms);
  await pass(
    "somebody holds the lease",
    () => replicas.some(({ lease }) => lease.held),
    ...replicas,
  );
}

export const isReady = ({ own }: Replica): boolean => own.notReadyBecause() === undefined;

/** The sum over all labels. */
export async function metric({ registry }: Replica, name: string): Promise<number> {
  const { values } = (await registry.getSingleMetric(`irsa_webhook_${name}`)?.get()) ?? {};
  return (values ?? []).reduce((sum, { value }) => sum + value, 0);
}
