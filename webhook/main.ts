import express, { type Express } from "express";
import { Registry } from "prom-client";
import { systemClock, type Clock } from "../lib/clock.ts";
import { listen, type RunningServer } from "../lib/http.ts";
import { connect } from "../lib/kube/connection.ts";
import { startLease } from "../lib/kube/lease.ts";
import { startListWatch } from "../lib/kube/list-watch.ts";
import type { Logger } from "../lib/log.ts";
import { startServingCertificate } from "./tls/serving-certificate.ts";
import { createApp } from "./app.ts";
import { createAuditMetrics } from "./audit/audit-metrics.ts";
import { startAudit, type Audit } from "./audit/start-audit.ts";
import type { RoleAccount } from "./identity/compose-role-arn.ts";
import { ciphersOf } from "./tls/cipher-suites.ts";
import { configWarnings, type WebhookConfig } from "./config.ts";
import { givenRoleAccount, mutationSettingsOf } from "./mutation/mutation-config.ts";
import { minTlsVersionOf } from "./tls/tls-config.ts";
import { readInstanceAccount } from "./identity/instance-identity.ts";
import { createAssociations, knownAssociation } from "./associations/associations.ts";
import { watchConfigMap } from "./associations/config-map-watch.ts";
import { watchContainerCredentials } from "./associations/container-credentials-file.ts";
import { createDebugApp } from "./debug-app.ts";
import { createMetrics, type ConfigSource } from "./metrics.ts";
import { keepNamespace, Namespaces } from "./cluster-reads/namespaces.ts";
import { createPodPlaces } from "./cluster-reads/pod-places.ts";
import { serviceAccountKeeper, ServiceAccounts } from "./cluster-reads/service-accounts.ts";

export interface RunningWebhook extends AsyncDisposable {
  /** Port of the webhook; differs from the one asked for when that was 0. */
  readonly port: number;
  readonly metricsPort: number;
  /** Undefined without debugging handlers. */
  readonly debugPort: number | undefined;
  /**
   * Resolves when all ServiceAccounts and Namespaces are known and the API server trusts the serving
   * certificate; rejects when it is stopped before.
   */
  readonly whenReady: Promise<void>;
}

export interface WebhookDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  readonly registry?: Registry | undefined;
  readonly clock?: Clock | undefined;
}

const METADATA_TIMEOUT_MS = 5000;
/** The API server waits 5 s for an answer. */
const POD_TIMEOUT_MS = 3000;

/**
 * Starts the webhook: it answers as soon as this resolves, and is ready once it knows all
 * ServiceAccounts and Namespaces and has a certificate that the API server trusts. Disposing first
 * makes it unready, then finishes open requests.
 *
 * @throws AppError CERTIFICATE_INVALID, METADATA_UNAVAILABLE or CONFIG_INVALID, and the error of a
 *   port in use.
 */
export async function startWebhook(
  config: WebhookConfig,
  { env, log, registry = new Registry(), clock = systemClock }: WebhookDeps,
): Promise<RunningWebhook> {
  for (const warning of configWarnings(config)) log.warn({ warning }, "Setting not followed");
  await using stack = new AsyncDisposableStack();

  const stop = new AbortController();
  stack.defer(() => stop.abort());

  const metrics = createMetrics(registry);
  const settings = mutationSettingsOf(config, await roleAccountOf(config, env));
  const connection = connect({ kubeconfig: config.kubeconfig, kubeApi: config.kubeApi });

  let server: RunningServer | undefined;
  const certificate = stack.use(
    await startServingCertificate(config, {
      connection,
      hostname: env["HOSTNAME"] ?? "webhook",
      clock,
      log,
      metrics,
      onChange: (pair) => server?.setCertificate(pair),
    }),
  );
  const firstKeyPair = certificate.current;

  let audit: Audit | undefined;
  const cache = stack.use(
    startListWatch({
      connection,
      path: "/api/v1/serviceaccounts",
      metadataOnly: true,
      keep: serviceAccountKeeper(config.annotationPrefix),
      clock,
      log,
      onEvent: (event) => audit?.serviceAccountsChanged(event),
    }),
  );
  const namespaceCache = stack.use(
    startListWatch({
      connection,
      path: "/api/v1/namespaces",
      metadataOnly: true,
      keep: keepNamespace,
      clock,
      log,
    }),
  );
  const namespaces = new Namespaces({
    cache: namespaceCache,
    connection,
    lookupGraceMs: config.lookupGraceMs,
    log,
    onLiveRead: (result) => metrics.namespaceLiveReads.inc({ result }),
  });
  const serviceAccounts = new ServiceAccounts({
    cache,
    connection,
    annotationPrefix: config.annotationPrefix,
    lookupGraceMs: config.lookupGraceMs,
    clock,
    log,
    onLiveRead: (result) => metrics.liveReads.inc({ result }),
  });

  const badConfig = (source: ConfigSource) => (err: unknown) => {
    metrics.configErrors.inc({ source });
    log.error({ source, err }, "Cannot use a configuration, keeping the last good one");
  };
  const containerCredentials =
    config.containerCredentialsFile === ""
      ? undefined
      : await watchContainerCredentials(config.containerCredentialsFile, {
          clock,
          log,
          signal: stop.signal,
          onBad: badConfig("container-credentials"),
          onChange: () => audit?.associationsChanged(),
        });
  const configMap = config.watchConfigMap
    ? stack.use(
        watchConfigMap({
          connection,
          namespace: config.namespace,
          clock,
          log,
          onBad: badConfig("config-map"),
          onChange: () => audit?.associationsChanged(),
        }),
      )
    : undefined;

  const auditing = new AbortController();
  if (config.audit) {
    const { namespace, serviceName, replicaName } = config;
    const name = `${serviceName}-audit`;
    const identity = replicaName || env["HOSTNAME"] || serviceName;
    const lease = stack.use(
      startLease({ connection, namespace, name, identity, clock, log, signal: auditing.signal }),
    );
    audit = startAudit({
      connection,
      lease,
      serviceAccounts: cache,
      associationOf: (...account) =>
        knownAssociation({ containerCredentials, configMap }, ...account),
      associationsKnown: () => configMap?.synced !== false,
      settings,
      coverage: { allNamespaces: config.auditAllNamespaces, exemptNamespaces: [namespace] },
      metrics: createAuditMetrics(registry),
      evictionsPerMinute: config.auditEvict ? config.auditEvictPerMinute : 0,
      clock,
      log,
    });
  }

  let draining = false;
  const app = createApp({
    settings,
    validation: config.validation,
    policyOf: (namespace) => namespaces.policyOf(namespace),
    stateOf: (namespace, name) => serviceAccounts.stateOf(namespace, name),
    associationOf: createAssociations({
      containerCredentials,
      configMap,
      waitMs: config.lookupGraceMs,
      clock,
    }),
    random: Math.random,
    placeOf: createPodPlaces({ connection, timeoutMs: POD_TIMEOUT_MS }),
    notReadyBecause: () => {
      if (draining) return "draining";
      if (!cache.synced) return "ServiceAccounts are not listed yet";
      if (!namespaceCache.synced) return "Namespaces are not listed yet";
      if (configMap?.synced === false) return "the ConfigMap is not read yet";
      return certificate.notReadyBecause();
    },
    log,
    metrics,
  });
  const place = { host: config.host || undefined, drainMs: config.drainSeconds * 1000 };
  const metricsServer = stack.use(
    await listen(
      createMetricsApp(registry, () => {
        metrics.cachedServiceAccounts.set(cache.size);
        metrics.cachedNamespaces.set(namespaceCache.size);
        metrics.cacheStaleSeconds.set(
          Math.max(cache.staleSeconds(), namespaceCache.staleSeconds()),
        );
        audit?.refreshMetrics();
      }),
      { ...place, port: config.metricsPort },
    ),
  );
  const debugServer = config.debugHandlers
    ? stack.use(
        await listen(createDebugApp({ serviceAccounts: cache, namespaces: namespaceCache }), {
          ...place,
          // Whatever --host is, for nobody is asked who they are.
          host: "127.0.0.1",
          port: config.debugPort,
        }),
      )
    : undefined;
  server = stack.use(
    await listen(app, {
      ...place,
      port: config.port,
      keyPair: firstKeyPair,
      minTlsVersion: minTlsVersionOf(config),
      ciphers: ciphersOf(config.tlsCipherSuites),
    }),
  );
  // It may have been changed while the server was not listening yet.
  if (certificate.current !== firstKeyPair) server.setCertificate(certificate.current);
  stack.defer(async () => {
    draining = true;
    // Another replica may go on with it now; what it is just doing must not delay the rest.
    auditing.abort();
    const { shutdownDelaySeconds } = config;
    log.info({ shutdownDelaySeconds }, "Draining");
    // Until all who send here have learnt that it is unready.
    if (shutdownDelaySeconds > 0) await clock.sleep(shutdownDelaySeconds * 1000);
  });
  const { port } = server;
  const metricsPort = metricsServer.port;
  const debugPort = debugServer?.port;
  log.info({ port, metricsPort, debugPort }, "Listening");
  const whenReady = allReady([
    cache.whenSynced,
    namespaceCache.whenSynced,
    certificate.whenReady,
    ...(configMap === undefined ? [] : [configMap.whenSynced]),
  ]);
  // Nobody has to wait for it.
  whenReady.catch(() => {});
  const running = stack.move();
  return {
    port,
    metricsPort,
    debugPort,
    whenReady,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** The account of bare role names, when they are to be composed at all. */
async function roleAccountOf(
  config: WebhookConfig,
  env: WebhookDeps["env"],
): Promise<RoleAccount | undefined> {
  if (!config.composeRoleArn) return undefined;
  const given = givenRoleAccount(config);
  if (given !== undefined) return given;
  const found = await readInstanceAccount(env, METADATA_TIMEOUT_MS);
  return config.partition === "" ? found : { ...found, partition: config.partition };
}

async function allReady(parts: readonly Promise<void>[]): Promise<void> {
  await Promise.all(parts);
}

function createMetricsApp(registry: Registry, refresh: () => void): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.get("/metrics", async (_req, res) => {
    refresh();
    res.type(registry.contentType).send(await registry.metrics());
  });
  return app;
}
