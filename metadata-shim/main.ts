import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { Registry } from "prom-client";
import { systemClock, type Clock } from "../lib/clock.ts";
import { giveMemoryBack } from "../lib/give-memory-back.ts";
import { listen } from "../lib/http.ts";
import { instanceMetadata } from "../lib/instance-metadata.ts";
import { connect, type KubeConnection } from "../lib/kube/connection.ts";
import { EventRecorder } from "../lib/kube/events.ts";
import type { Logger } from "../lib/log.ts";
import { settleHttpClasses } from "../lib/settle-http-classes.ts";
import packageJson from "../package.json" with { type: "json" };
import { createApp } from "./app.ts";
import { createIdentifyCaller } from "./caller/identify-caller.ts";
import { podKeeper } from "./caller/known-pod.ts";
import { LivePods } from "./caller/live-pods.ts";
import { followNodePods } from "./caller/node-pods.ts";
import { createProcAttestor } from "./caller/proc-attestor.ts";
import {
  allowedHostsOf,
  configWarnings,
  instanceFactsOf,
  nodeAddressesOf,
  ownRuleSettingsOf,
  type ShimConfig,
} from "./config.ts";
import { AGENT_HOSTS } from "./container-credentials/answers.ts";
import { startContainerCredentials } from "./container-credentials/start-container-credentials.ts";
import { kubeletTokenSource } from "./credentials/kubelet-token.ts";
import { nodeCredentialsOf } from "./credentials/node-credentials.ts";
import type { PodTokenSource } from "./credentials/pod-token.ts";
import { requestedTokenSource } from "./credentials/requested-token.ts";
import { startCredentials, type RunningCredentials } from "./credentials/start-credentials.ts";
import { METADATA_HOSTS } from "./imds/allowed-hosts.ts";
import { createMetadataTree } from "./imds/metadata-tree.ts";
import { createResourceFinder } from "./imds/resource-finder.ts";
import { legacyAnswerOf, withLookUps } from "./legacy-answers.ts";
import { withLegacyHealth } from "./legacy/legacy-health.ts";
import { createMetrics } from "./metrics.ts";
import { createOperationsApp } from "./operations-app.ts";
import { startOwnRules } from "./rules/own-rules.ts";
import { createPodEvents } from "./pod-events.ts";
import { createRecords } from "./records.ts";
import { discoverRole } from "./role/discover-role.ts";
import { createLegacyMetrics } from "./legacy/legacy-metrics.ts";
import { legacyPlaceOf } from "./legacy/legacy-config.ts";
import { PROFILE_TRAITS } from "./role/profile.ts";
import { podKeysOf, roleSettingsOf, wantsDiscovery } from "./role/role-config.ts";
import { createRoleSource } from "./role/role-source.ts";
import { servePods } from "./server.ts";
import { createSessionTokens } from "./session-token/session-tokens.ts";
import { sessionTokenKey } from "./session-token/session-token-key.ts";
import { removeStartUpTaint } from "./start-up-taint.ts";

export interface RunningShim extends AsyncDisposable {
  /** Port of the metadata service; differs from the one asked for when that was 0. */
  readonly port: number;
  readonly adminPort: number;
  /** Undefined without a port of its own. */
  readonly metricsPort: number | undefined;
  /** Ports of container credentials that listen now, by host. */
  readonly agentPorts: ReadonlyMap<string, number>;
  /** Resolves when the pods of the node are known; rejects when it is stopped before. */
  readonly whenReady: Promise<void>;
}

export interface ShimDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly registry?: Registry | undefined;
  readonly clock?: Clock | undefined;
  /** Milliseconds by a clock that nobody sets. */
  readonly monotonicNow?: (() => number) | undefined;
}

/** Longest wait for the API server within a request. */
const KUBE_TIMEOUT_MS = 1000;
/** Longest wait for the metadata service of this machine, at the start. */
const METADATA_TIMEOUT_MS = 5000;
/** How soon a change of a ServiceAccount or a Namespace shows. */
const ROLE_MAX_AGE_MS = 5000;
/**
 * Longest wait for credentials: below the 1 s after which most SDKs give up, of which botocore never
 * tries again. What is fetched after that is there for the next who asks.
 */
const PATIENCE_MS = 800;
/** STS itself asks the issuer for up to 5 s. */
const STS_TIMEOUT_MS = 10_000;
/** All pods of a node may start at once. */
const STS_BURST = 100;
const TOKEN_FILE = "token";
const METADATA_PORT = 80;

/**
 * Starts the shim: it makes session tokens as soon as this resolves, and gives credentials once it
 * knows the pods of its node. Disposing first makes it unready, then finishes open requests; rules of
 * the network are not its own, and stay.
 *
 * @throws AppError CONFIG_INVALID, and the error of a port in use.
 */
export async function startShim(
  config: ShimConfig,
  {
    env,
    log,
    registry = new Registry(),
    clock = systemClock,
    monotonicNow = () => performance.now(),
  }: ShimDeps,
): Promise<RunningShim> {
  for (const warning of configWarnings(config)) log.warn({ warning }, "Setting not followed");
  await settleHttpClasses();
  await using stack = new AsyncDisposableStack();
  const { profile, rulesReadyFile, removeTaint } = config;
  const place = legacyPlaceOf(config, profile, env);
  // On the host's network the two are the same.
  const nodeName = place.nodeName || hostname();
  const startedAtMs = clock.now();
  const metrics = createMetrics(registry);
  const legacyMetrics = createLegacyMetrics(registry, profile, {
    version: packageJson.version,
    cacheSize: () => credentials.size,
  });
  const connection = connect({
    kubeconfig: config.kubeconfig,
    kubeApi: config.apiServer,
    kubeToken: config.apiToken,
    insecureKubeApi: config.insecure,
  });
  const ruleSettings = ownRuleSettingsOf(config, place);
  const rules =
    ruleSettings === undefined
      ? undefined
      : stack.use(await startOwnRules(ruleSettings, { clock, log }));
  const recorder = { connection, component: "irsa-shim", instance: nodeName, clock, log };
  const events = createPodEvents(new EventRecorder(recorder), config.eventReasons);
  const records = createRecords({ log, metrics, events });

  const discovered = wantsDiscovery(config)
    ? await discoverRole(instanceMetadata(env, METADATA_TIMEOUT_MS))
    : undefined;
  const roleSettings = roleSettingsOf(config, discovered);
  const roles = createRoleSource({
    connection,
    settings: roleSettings,
    maxAgeMs: ROLE_MAX_AGE_MS,
    timeoutMs: KUBE_TIMEOUT_MS,
    clock,
    log,
  });
  const credentials: RunningCredentials = stack.use(
    startCredentials({
      tokenSources: tokenSourcesOf(config, connection),
      region: place.region,
      endpoint: env["AWS_ENDPOINT_URL_STS"] || undefined,
      caPem: await caPemOf(env),
      durationSeconds: place.durationSeconds,
      patienceMs: PATIENCE_MS,
      stsTimeoutMs: STS_TIMEOUT_MS,
      budget: { burst: STS_BURST, perMinute: config.stsCallsPerMinute },
      nodeCredentials: config.legacyAssumeRole ? nodeCredentialsOf(env) : undefined,
      clock,
      monotonicNow,
      random: Math.random,
      onExchange: (facts) => {
        metrics.exchangeSeconds.observe({ code: facts.errorCode ?? "OK" }, facts.seconds);
        legacyMetrics?.onExchange(facts);
      },
      onIssued: records.issued,
      onFailed: records.failed,
    }),
  );

  const keep = podKeeper({ nodeName, keys: podKeysOf(roleSettings) });
  const pods = stack.use(
    followNodePods({
      connection,
      nodeName,
      keep,
      clock,
      log,
      onGone: (podUid) => credentials.forgetPod(podUid),
    }),
  );
  const identify = createIdentifyCaller({
    pods,
    livePods: new LivePods({ connection, nodeName, keep, timeoutMs: KUBE_TIMEOUT_MS }),
    attestor: config.attestation ? createProcAttestor(config.procFolder) : undefined,
    endpoints: METADATA_HOSTS.map((address) => ({ address, port: METADATA_PORT })),
    waitMs: place.waitMs,
    clock,
    onForeign: records.foreign,
    onAmbiguous: records.ambiguous,
  });

  const facts = instanceFactsOf(config, place);
  const app = createApp({
    rules: {
      profile,
      httpTokens: config.httpTokens ?? PROFILE_TRAITS[profile].httpTokens,
      refuseForwarded: profile === "strict",
    },
    findResource: createResourceFinder(createMetadataTree(facts)),
    facts,
    startedAtMs,
    sessionTokens: createSessionTokens(await sessionTokenKey(config.stateDir, log), clock),
    hosts: allowedHostsOf(config, place),
    identify,
    httpTokensOf: roles.httpTokensOf,
    decideRole: roles.decideRole,
    obtain:
      legacyMetrics === undefined
        ? credentials.obtain
        : withLookUps(credentials.obtain, legacyMetrics),
    onForbidden: records.forbidden,
    clock,
    log,
    metrics,
    onAnswer: legacyMetrics && ((answered) => legacyMetrics.onAnswer(legacyAnswerOf(answered))),
  });

  let draining = false;
  const areRulesInPlace = (): boolean =>
    rules?.inPlace !== false && (rulesReadyFile === "" || existsSync(rulesReadyFile));
  const operations = {
    registry,
    refreshMetrics: () => {
      metrics.knownPods.set(pods.size);
      metrics.podsStaleSeconds.set(pods.staleSeconds());
      metrics.credentialEntries.set(credentials.size);
    },
    notReadyBecause: () => {
      if (draining) return "draining";
      if (!areRulesInPlace()) return "the rules are not in place";
      return pods.synced ? undefined : "the pods of this node are not listed yet";
    },
    debugState: undefined,
  };
  const net = { host: config.bindAddress || undefined, drainMs: config.drainSeconds * 1000 };
  const onRefusedConnection = (): void => metrics.refusedConnections.inc();
  const debugState = (): object => ({ nodeName, synced: pods.synced, pods: [...pods.pods()] });
  const admin = stack.use(
    await listen(createOperationsApp({ ...operations, debugState }), {
      ...net,
      // Whatever --bind-address is, for nobody is asked who they are.
      host: "127.0.0.1",
      port: config.adminPort,
    }),
  );
  const operationsApp = createOperationsApp(operations);
  const { metrics: metricsPlace } = place;
  const metricsServer =
    typeof metricsPlace === "object"
      ? stack.use(await listen(operationsApp, { ...net, ...metricsPlace }))
      : undefined;
  const agents = config.containerCredentials
    ? stack.use(
        startContainerCredentials({
          ...net,
          connection,
          nodeName,
          hosts: hostsOr(config.containerCredentialsHosts, AGENT_HOSTS),
          port: config.containerCredentialsPort,
          audience: config.containerCredentialsAudience,
          timeoutMs: KUBE_TIMEOUT_MS,
          decideRole: roles.decideRole,
          obtain: credentials.obtain,
          onForbidden: records.forbidden,
          onRefusedConnection,
          clock,
          log,
          metrics,
        }),
      )
    : undefined;
  const server = stack.use(
    await servePods(
      profile === "strict"
        ? app
        : withLegacyHealth(app, {
            profile,
            hostIp: nodeAddressesOf(place)[0] ?? "",
            instanceId: facts.instanceId ?? "",
            operations: metricsPlace === "app-port" ? operationsApp : undefined,
          }),
      { ...net, port: place.port, onRefusedConnection },
    ),
  );
  stack.defer(() => {
    draining = true;
    log.info("Draining");
  });
  if (removeTaint !== "") {
    const stop = new AbortController();
    const removing = removeStartUpTaint({
      connection,
      nodeName,
      key: removeTaint,
      notReadyBecause: operations.notReadyBecause,
      timeoutMs: KUBE_TIMEOUT_MS,
      clock,
      random: Math.random,
      log,
      signal: stop.signal,
    });
    stack.defer(() => {
      stop.abort();
      return removing;
    });
  }
  // Who stops it before hears of it by `whenReady`.
  pods.whenSynced.then(giveMemoryBack, () => {});
  const { port } = server;
  const ports = { port, adminPort: admin.port, metricsPort: metricsServer?.port };
  log.info({ profile, nodeName, ...ports }, "Listening");
  const running = stack.move();
  return {
    ...ports,
    agentPorts: agents?.ports ?? new Map(),
    whenReady: pods.whenSynced,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** kubelet's folder first: it needs no right, and no call. */
function tokenSourcesOf(
  { kubeletRoot, tokenVolumeName: volumeName, tokenRequest }: ShimConfig,
  connection: KubeConnection,
): readonly PodTokenSource[] {
  const own = kubeletTokenSource({ kubeletRoot, volumeName, fileName: TOKEN_FILE });
  return tokenRequest
    ? [own, requestedTokenSource({ connection, timeoutMs: KUBE_TIMEOUT_MS })]
    : [own];
}

/** Authorities of STS, by the variable that the AWS CLI and SDKs know. */
async function caPemOf(env: ShimDeps["env"]): Promise<string | undefined> {
  const file = env["AWS_CA_BUNDLE"] ?? "";
  return file === "" ? undefined : readFile(file, "utf8");
}

function hostsOr(given: readonly string[], fallback: readonly string[]): readonly string[] {
  return given.length === 0 ? fallback : given;
}
