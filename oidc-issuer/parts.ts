import { Registry } from "prom-client";
import { systemClock, type Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { KubeRequester } from "./api-servers.ts";
import type { IssuerConfig } from "./config.ts";
import { createDesiredKeys, type DesiredKeys } from "./desired-keys.ts";
import { parseIssuer } from "./issuer-url.ts";
import type { PublicJwk } from "./jwk.ts";
import type { KeyState } from "./merge.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createPollReport } from "./poll-report.ts";
import { readPublishedKeys } from "./publish-dir.ts";
import { directoriesOf, kubeOf, REQUEST_TIMEOUT_MS } from "./sources.ts";
import { createStateConfigMap } from "./state-config-map.ts";
import { createStateFile } from "./state-file.ts";
import type { StateStore } from "./state-store.ts";

/** What the issuer needs beside its config. */
export interface IssuerDeps {
  readonly log: Logger;
  readonly clock?: Clock | undefined;
  /** Metrics go here; into a registry of its own when absent. */
  readonly registry?: Registry | undefined;
}

export type Parts = Awaited<ReturnType<typeof createParts>>;

/**
 * Makes what serving and publishing once have in common: the sources, and the desired keys as they were
 * last known.
 *
 * @throws AppError CONFIG_INVALID, ISSUER_INVALID or PUBLISH_REFUSED
 */
export async function createParts(config: IssuerConfig, deps: IssuerDeps) {
  const { log, clock = systemClock, registry = new Registry() } = deps;
  const issuer = parseIssuer(config.issuer);
  const metrics = createMetrics(registry, () => clock.now());
  const kube = kubeOf(config);
  const desired = createDesiredKeys({
    issuerUrl: issuer.url,
    rules: {
      retireAfterMs: config.retireAfterSeconds * 1000,
      retireKids: new Set(config.retireKids),
    },
    log,
    metrics,
  });
  const store = storeOf(config, { kube, clock, log });
  if (store !== undefined) await loadState(store, { desired, log, metrics });
  if (config.publishDir !== "") {
    const published = await readPublishedKeys(config.publishDir, { issuerUrl: issuer.url, log });
    const known = new Set(desired.state().keys.map(({ jwk }) => jwk.kid));
    // Our own copy is no sighting: it must not end the wait of a key that the sources are without.
    const unknown = published.filter(({ kid }) => !known.has(kid));
    desired.adopt(stateOf(unknown, clock.now()));
  }
  const report = createPollReport({ log, metrics, nowMs: () => clock.now() });
  const directories = directoriesOf(config, kube);
  return { issuer, log, clock, registry, metrics, desired, store, report, directories };
}

function storeOf(
  { stateFile, stateConfigMap }: IssuerConfig,
  { kube, clock, log }: { kube: KubeRequester | undefined; clock: Clock; log: Logger },
): StateStore | undefined {
  if (stateFile !== "") return createStateFile(stateFile, { clock, log });
  const [namespace, name] = stateConfigMap.split("/");
  if (kube === undefined || namespace === undefined || name === undefined) return undefined;
  const options = { kube, timeoutMs: REQUEST_TIMEOUT_MS, log };
  return createStateConfigMap({ namespace, name }, options);
}

/** Without the stored keys the issuer still starts: the sources may have them all. */
async function loadState(
  store: StateStore,
  { desired, log, metrics }: { desired: DesiredKeys; log: Logger; metrics: Metrics },
): Promise<void> {
  try {
    const stored = await store.load();
    if (stored === undefined) return;
    desired.adopt(stored);
    log.info({ store: store.id, keys: stored.keys.length }, "Took in the last good keys");
  } catch (err) {
    metrics.stateFailed("load");
    log.error({ err, store: store.id }, "Could not read the last good keys");
  }
}

function stateOf(keys: readonly PublicJwk[], nowMs: number): KeyState {
  const seen = { firstSeenMs: nowMs, lastSeenMs: nowMs, absentSinceMs: undefined };
  return { keys: keys.map((jwk) => ({ jwk, ...seen })), lastCompleteMs: undefined };
}
