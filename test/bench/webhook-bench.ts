import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { prepareStage, type Stage } from "../../cli/demo/stage.ts";
import { connect } from "../../lib/kube/connection.ts";
import { imageEnvironmentOf } from "../../scripts/image/image-environment.ts";
import { startControlPlane } from "../kubernetes/control-plane.ts";
import { freePort } from "../kubernetes/free-port.ts";
import {
  accountOf,
  annotatedAccount,
  annotatedAmong,
  createAccounts,
  lastAccount,
} from "./accounts.ts";
import { isMutated, patchedReview, patchOf } from "./answer.ts";
import { buildBundle } from "./bundle.ts";
import {
  append,
  byConnections,
  compared,
  CONNECTIONS,
  middleOf,
  middleOfCompared,
} from "./cells.ts";
import type { Cores } from "./cores.ts";
import type { LoadJob, LoadResult } from "./load.ts";
import { runLoadProcess } from "./load-process.ts";
import {
  median,
  REVIEWS,
  type ByConnections,
  type Cell,
  type ComparedCell,
  type Measured,
  type ReviewName,
} from "./result.ts";
import { admissionReview } from "./review.ts";
import { failureOf, startServerProcess, type ServerProcess } from "./server-process.ts";
import { observeStartUp, type StartUp } from "./start-up.ts";
import { untilAnswers } from "./until-answers.ts";

export interface WebhookBenchOptions {
  readonly accounts: number;
  readonly rounds: number;
  readonly secondsPerLoad: number;
  readonly cores: Cores;
  readonly signal: AbortSignal;
  readonly progress: (message: string) => void;
}

const MAX_REQUESTS = 200_000;
const HOST = "127.0.0.1";
const CALLER = { headers: { "Content-Type": "application/json" } };
const fileOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

interface Ground {
  readonly options: WebhookBenchOptions;
  readonly stage: Stage;
  readonly kubeconfig: string;
  readonly bundle: string;
}

interface Running {
  readonly server: ServerProcess;
  readonly port: number;
}

/**
 * Measures the webhook as it ships, against a real API server, and a calibration next to it.
 * Whatever it starts is on `stack`.
 *
 * @throws Error when something could not be measured.
 */
export async function benchWebhook(
  options: WebhookBenchOptions,
  stack: AsyncDisposableStack,
): Promise<Measured> {
  const { accounts, rounds, secondsPerLoad, cores, progress } = options;
  const stage = stack.use(await prepareStage([HOST], Date.now()));
  const bundle = await buildBundle(stage.folder);
  const unlimited = ["--max-requests-inflight=0", "--max-mutating-requests-inflight=0"];
  const flags = ["--enable-priority-and-fairness=false", ...unlimited];
  const plane = stack.use(await startControlPlane({ flags }));
  progress(`Creating ${accounts} ServiceAccounts`);
  await createAccounts(connect({ kubeconfig: plane.kubeconfig }), accounts);
  const ground: Ground = { options, stage, kubeconfig: plane.kubeconfig, bundle };

  const startUps: StartUp[] = [];
  for (let start = 1; start < rounds; start += 1) {
    progress(`Start ${start}`);
    await using webhook = new AsyncDisposableStack();
    startUps.push((await startWebhook(ground, webhook)).startUp);
  }
  progress(`Start ${rounds}`);
  const { running: webhook, startUp } = await startWebhook(ground, stack);
  startUps.push(startUp);
  const ready = await webhook.server.residentMb();
  const calibration = await startCalibration(ground, stack);

  const reviews = await reviewsOf(ground, webhook);
  const measured = await measureRounds(ground, { webhook, calibration, reviews });
  return {
    accounts,
    annotated: annotatedAmong(accounts),
    rounds,
    secondsPerLoad,
    node: process.version,
    separateCores: cores !== undefined,
    reviewBytes: reviews.reviewBytes,
    patchBytes: reviews.patchBytes,
    startUp: {
      firstCorrectSeconds: median(startUps.map((each) => each.firstCorrectSeconds)),
      readySeconds: median(startUps.map((each) => each.readySeconds)),
      earlyAnswers: startUps.reduce((sum, each) => sum + each.earlyAnswers, 0),
      earlyUnmutated: startUps.reduce((sum, each) => sum + each.earlyUnmutated, 0),
    },
    residentMb: { ready, afterLoad: await webhook.server.residentMb() },
    ...measured,
  };
}

async function startWebhook(
  { options, stage, kubeconfig, bundle }: Ground,
  stack: AsyncDisposableStack,
): Promise<{ running: Running; startUp: StartUp }> {
  const [port, metricsPort] = [await freePort([HOST]), await freePort([HOST])];
  const args = [bundle, "webhook", "--kubeconfig", kubeconfig, "--host", HOST];
  args.push("--port", String(port), "--metrics-port", String(metricsPort), "--in-cluster=false");
  args.push("--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  const startMs = performance.now();
  const env = imageEnvironmentOf(await readFile(fileOf("../../Dockerfile"), "utf8"));
  const place = { folder: stage.folder, core: options.cores?.server, env };
  const server = stack.use(await startServerProcess("webhook", args, place));
  let asked = 0;
  const startUp = await observeStartUp({
    port,
    caPem: stage.caPem,
    startMs,
    failed: failureOf(server),
    nextReview: () => {
      // Spread over all, for the first pages of a list are known before the last.
      asked += 7919;
      return JSON.stringify(admissionReview(accountOf(annotatedAccount(options.accounts, asked))));
    },
  });
  return { running: { server, port }, startUp };
}

async function startCalibration(
  { options, stage }: Ground,
  stack: AsyncDisposableStack,
): Promise<Running> {
  const port = await freePort([HOST]);
  const args = [fileOf("calibration-main.ts"), String(port), stage.certFile, stage.keyFile];
  const place = { folder: stage.folder, core: options.cores?.server };
  const server = stack.use(await startServerProcess("calibration", args, place));
  await Promise.race([untilAnswers({ host: HOST, port, caPem: stage.caPem }), failureOf(server)]);
  return { server, port };
}

interface Reviews {
  readonly files: Readonly<Record<ReviewName, string>>;
  readonly reviewBytes: number;
  readonly patchBytes: number;
}

/** Writes the bodies that are posted; the third is what becomes of the first. */
async function reviewsOf({ options, stage }: Ground, webhook: Running): Promise<Reviews> {
  const { accounts } = options;
  const files = {
    patch: join(stage.folder, "patch.json"),
    none: join(stage.folder, "none.json"),
    again: join(stage.folder, "again.json"),
  };
  const body = JSON.stringify(admissionReview(accountOf(lastAccount(accounts, true))));
  await writeFile(files.patch, body);
  const none = admissionReview(accountOf(lastAccount(accounts, false)));
  await writeFile(files.none, JSON.stringify(none));

  const job = { port: webhook.port, bodyFile: files.patch, connections: 1, maxRequests: 1 };
  const { answers } = await load({ options, stage }, { ...job, seconds: 1 });
  const [answer = ""] = answers;
  const patch = patchOf(answer);
  if (patch === undefined || !isMutated(answer)) throw new Error("The review got no patch");
  await writeFile(files.again, patchedReview(body, patch));
  return { files, reviewBytes: Buffer.byteLength(body), patchBytes: Buffer.byteLength(patch) };
}

/** One load on the core for it, in a process of its own. */
async function load(
  { options, stage }: Pick<Ground, "options" | "stage">,
  job: Pick<LoadJob, "port" | "bodyFile" | "connections" | "seconds" | "maxRequests">,
): Promise<LoadResult> {
  const caFile = join(stage.folder, "ca.pem");
  await writeFile(caFile, stage.caPem);
  const request = { host: HOST, method: "POST", path: "/mutate", callers: [CALLER] };
  return runLoadProcess({ ...job, ...request, caFile }, options);
}

interface Contest {
  readonly webhook: Running;
  readonly calibration: Running;
  readonly reviews: Reviews;
}

async function measureRounds(
  ground: Ground,
  { webhook, calibration, reviews }: Contest,
): Promise<Pick<Measured, "calibration" | "webhook">> {
  const { rounds, secondsPerLoad, progress } = ground.options;
  const measure = async (
    { port }: Running,
    review: ReviewName,
    connections: number,
  ): Promise<LoadResult> => {
    const bodyFile = reviews.files[review];
    const bounds = { seconds: secondsPerLoad, maxRequests: MAX_REQUESTS };
    const result = await load(ground, { port, bodyFile, connections, ...bounds });
    const [answer = ""] = result.answers;
    const isExpected = port === calibration.port || isMutated(answer) === (review === "patch");
    if (!isExpected) throw new Error(`A wrong answer to ${review}: ${answer}`);
    return result;
  };

  progress("Warming up");
  await measure(calibration, "patch", 8);
  for (const review of REVIEWS) await measure(webhook, review, 8);
  const cells = new Map<string, Cell[]>();
  const comparisons = new Map<string, ComparedCell[]>();
  for (let round = 1; round <= rounds; round += 1) {
    progress(`Round ${round}`);
    for (const connections of CONNECTIONS) {
      const standard = await measure(calibration, "patch", connections);
      append(cells, String(connections), standard);
      for (const review of REVIEWS) {
        const result = await measure(webhook, review, connections);
        append(comparisons, `${review} ${connections}`, compared(result, standard));
      }
    }
  }
  const comparedOf = (review: ReviewName): ByConnections<ComparedCell> =>
    byConnections((connections) =>
      middleOfCompared(comparisons.get(`${review} ${connections}`) ?? []),
    );
  return {
    calibration: byConnections((connections) => middleOf(cells.get(String(connections)) ?? [])),
    webhook: { patch: comparedOf("patch"), none: comparedOf("none"), again: comparedOf("again") },
  };
}
