// Composition root of the issuer: it makes the real things and hands them over.
import { AppError } from "../lib/errors.ts";
import { listen } from "../lib/http.ts";
import type { IssuerConfig } from "./config.ts";
import { createDirPublisher } from "./dir-publisher.ts";
import type { KeyState, SourceView } from "./merge.ts";
import { createOperationsApp } from "./operations-app.ts";
import { createParts, type IssuerDeps } from "./parts.ts";
import { createPoller } from "./poller.ts";
import { publishToDirectory } from "./publish-dir.ts";
import { serveDocuments } from "./serving.ts";
import { createStateKeeper } from "./state-keeper.ts";

export type { IssuerDeps } from "./parts.ts";

export interface RunningIssuer extends AsyncDisposable {
  /** Of the documents; undefined with `--serve=false`. */
  readonly port: number | undefined;
  readonly metricsPort: number;
  /** Resolves as soon as there are keys to serve. @throws the reason of `signal` when that aborts */
  whenReady(signal?: AbortSignal): Promise<void>;
}

/**
 * Starts the issuer: resolves when it listens, with the last good keys if it has any. The first poll
 * goes on behind it.
 *
 * @throws AppError CONFIG_INVALID, ISSUER_INVALID, CERTIFICATE_INVALID or PUBLISH_REFUSED
 */
export async function startIssuer(config: IssuerConfig, deps: IssuerDeps): Promise<RunningIssuer> {
  const parts = await createParts(config, deps);
  const { log, clock, registry, metrics, desired, store, report } = parts;
  const { publishDir, metricsPort } = config;
  const ready = Promise.withResolvers<void>();
  const onFound = (others: KeyState) => desired.adopt(others);
  const keeper = store && createStateKeeper({ store, clock, log, metrics, onFound });
  const publisher =
    publishDir === "" ? undefined : createDirPublisher(publishDir, { clock, log, metrics });

  function distribute(): void {
    const documents = desired.documents();
    if (documents === undefined) return;
    ready.resolve();
    keeper?.offer(desired.state());
    publisher?.offer(documents);
  }

  await using stack = new AsyncDisposableStack();
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const net = {
    host: config.host === "" ? undefined : config.host,
    drainMs: config.drainSeconds * 1000,
  };
  const isReady = () => desired.documents() !== undefined;
  const operations = stack.use(
    await listen(createOperationsApp({ registry, isReady }), { ...net, port: metricsPort }),
  );
  const server = config.serve
    ? stack.use(await serveDocuments(config, parts, net, stop.signal))
    : undefined;

  distribute();
  const poller = createPoller({
    directories: parts.directories,
    clock,
    random: Math.random,
    intervalMs: config.pollSeconds * 1000,
    observer: report,
    onChange(views) {
      desired.merge(views, clock.now());
      distribute();
    },
  });
  const polling = poller.run(stop.signal);
  stack.defer(async () => {
    stop.abort();
    await polling;
    await keeper?.flush(desired.state());
    await publisher?.idle();
  });
  const ports = { port: server?.port, metricsPort: operations.port };
  log.info({ issuer: config.issuer, ...ports }, "Listening");
  const owned = stack.move();
  return {
    ...ports,
    whenReady: (signal) => unlessAborted(ready.promise, signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Asks every source once and publishes to `--publish-dir` what they serve and what was there before.
 *
 * @throws AppError PUBLISH_REFUSED when no source gives a key or the directory cannot be written;
 *   STORE_INVALID or KUBERNETES_REFUSED when the keys could not be saved, and KEY_CONFLICT when a kid
 *   comes with different keys, both after everything else is published
 */
export async function publishOnce(config: IssuerConfig, deps: IssuerDeps): Promise<void> {
  const parts = await createParts(config, deps);
  const { log, clock, desired, report, store } = parts;
  let views: readonly SourceView[] = [];
  const poller = createPoller({
    directories: parts.directories,
    clock,
    random: Math.random,
    intervalMs: 0,
    observer: report,
    onChange(latest) {
      views = latest;
      desired.merge(views, clock.now());
    },
  });
  await poller.pollOnce(new AbortController().signal);

  const documents = desired.documents();
  const isAnswered = views.some(({ outcome }) => outcome === "answered");
  if (documents === undefined || !isAnswered) {
    const problem = `no source gives a key: ${report.problems().join("; ")}`;
    const message = `Cannot publish to ${JSON.stringify(config.publishDir)}: ${problem}`;
    throw new AppError("PUBLISH_REFUSED", 500, message);
  }
  const outcome = await publishToDirectory(config.publishDir, documents);
  log.info({ dir: config.publishDir, outcome }, "Published once");
  await store?.save(desired.state());
  const conflicts = desired.conflicts();
  if (conflicts.length > 0) {
    const message = `Cannot publish every key: sources serve different keys under ${conflicts.join(", ")}`;
    throw new AppError("KEY_CONFLICT", 500, message);
  }
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
