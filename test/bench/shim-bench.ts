import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { METADATA_IPV4 } from "../shim/shim-world.ts";
import { ask } from "../fakes/ask.ts";
import { untilWithin } from "../fakes/until.ts";
import { forEachBounded } from "../fakes/for-each-bounded.ts";
import { freePort } from "../kubernetes/free-port.ts";
import {
  append,
  byConnections,
  compared,
  CONNECTIONS,
  middleOf,
  middleOfCompared,
} from "./cells.ts";
import type { Cores } from "./cores.ts";
import type { LoadJob } from "./load.ts";
import { runLoadProcess } from "./load-process.ts";
import { NODE_ADDRESS, POD_NAMESPACE } from "./node-pods.ts";
import { podEventsOf, withPodEvents } from "./pod-events.ts";
import { median, type ByConnections, type Cell } from "./result.ts";
import { startServerProcess, type ServerProcess } from "./server-process.ts";
import {
  prepareShimGround,
  ROLE_NAME,
  startBenchShim,
  type RunningShim,
  type ShimGround,
} from "./shim-ground.ts";
import {
  CACHED,
  REQUESTS,
  type CostedCell,
  type RequestName,
  type ShimCell,
  type ShimMeasured,
} from "./shim-result.ts";

export interface ShimBenchOptions {
  /** In the cluster. */
  readonly pods: number;
  readonly rounds: number;
  readonly secondsPerLoad: number;
  readonly cores: Cores;
  /** Further flags of the shim's Node, such as `--cpu-prof`. */
  readonly nodeFlags: readonly string[];
  readonly signal: AbortSignal;
  readonly progress: (message: string) => void;
}

const PODS_OF_NODE = 250;
/** Pods that ask at the same time: each connection is of another one. */
const CALLERS = Math.max(...CONNECTIONS);
const EVENTS_PER_SECOND = 500;
const EVENT_CONNECTIONS = 8;
const MAX_REQUESTS = 1_000_000;
const AUDIENCE = "pods.eks.amazonaws.com";
const ROLE_LIST = "/latest/meta-data/iam/security-credentials/";
const TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds";

const until = untilWithin({ limitMs: 60_000, pauseMs: 200 });

/** What asks for something, but for where the server is. */
type Request = Pick<LoadJob, "method" | "path" | "callers" | "answersDiffer">;
type Requests = Readonly<Record<RequestName, Request>>;
/** A server, with the port for each request. */
interface Target {
  readonly server: ServerProcess;
  readonly ports: Readonly<Record<RequestName, number>>;
}

const Credentials = z.looseObject({ AccessKeyId: z.string().startsWith("ASIA") });

/**
 * Measures the shim as it ships, next to a bare server with the same bodies: on a node full of pods,
 * of a real API server with many more. For a network namespace that has the addresses of its pods.
 * Whatever it starts is on `stack`.
 *
 * @throws Error when something could not be measured.
 */
export async function benchShim(
  options: ShimBenchOptions,
  stack: AsyncDisposableStack,
): Promise<ShimMeasured> {
  const { pods, rounds, secondsPerLoad, cores, progress } = options;
  const podsOfNode = Math.min(PODS_OF_NODE, pods);
  const ground = await prepareShimGround({ pods, podsOfNode, progress }, stack);
  const shim = await startBenchShim(ground, options, stack);
  const ready = await shim.server.residentMb();
  progress("Asking for the credentials of all pods of the node");
  const requests = await requestsOf(ground, shim);
  const withCredentials = await shim.server.residentMb();

  const { server, port, agentPort } = shim;
  const ports = byRequest((name) => (name === "container" ? agentPort : port));
  const bodies = await bodiesOf(requests, ports, options);
  const bare = await startBare(ground, { bodies, cores }, stack);
  const measured = await measureRounds({
    ground,
    options,
    requests,
    shim: { server, ports },
    bare,
  });
  return {
    pods,
    podsOfNode,
    rounds,
    secondsPerLoad,
    node: process.version,
    separateCores: cores !== undefined,
    bodyBytes: byRequest((name) => bodies[name].length),
    residentMb: { ready, withCredentials, afterLoad: await shim.server.residentMb() },
    ...measured,
  };
}

/** Has each pod get its credentials, and makes what some of them ask for. */
async function requestsOf({ plane, pods }: ShimGround, { port }: RunningShim): Promise<Requests> {
  const sessions = new Map<string, Readonly<Record<string, string>>>();
  await forEachBounded(pods.length, 8, async (number) => {
    const from = pods[number]?.address ?? "";
    const ttl = { Host: METADATA_IPV4, [TTL_HEADER]: "21600" };
    const place = { host: NODE_ADDRESS, port, from };
    const path = "/latest/api/token";
    const { body } = await ask({ ...place, method: "PUT", path, headers: ttl });
    const headers = { Host: METADATA_IPV4, "X-aws-ec2-metadata-token": body };
    await until("a pod has credentials", async () => {
      const reply = await ask({ ...place, path: ROLE_LIST + ROLE_NAME, headers });
      return reply.status === 200;
    });
    sessions.set(from, headers);
  });
  const callers = pods.slice(0, CALLERS);
  const bySession = callers.map(({ address: localAddress }) => ({
    localAddress,
    headers: sessions.get(localAddress) ?? {},
  }));
  const byToken = callers.map(async ({ address: localAddress, name, uid, serviceAccount }) => {
    const spec = { namespace: POD_NAMESPACE, serviceAccount, audiences: [AUDIENCE] };
    const { token } = await plane.requestToken({ ...spec, boundPod: { name, uid } });
    return { localAddress, headers: { Authorization: token } };
  });
  const unknown = callers.map(({ address: localAddress }) => ({
    localAddress,
    headers: { Host: METADATA_IPV4, [TTL_HEADER]: "21600" },
  }));
  return {
    list: { method: "GET", path: ROLE_LIST, callers: bySession },
    credentials: { method: "GET", path: ROLE_LIST + ROLE_NAME, callers: bySession },
    container: { method: "GET", path: "/v1/credentials", callers: await Promise.all(byToken) },
    token: { method: "PUT", path: "/latest/api/token", callers: unknown, answersDiffer: true },
  };
}

/** What the shim answers, checked; the bare server answers the same. */
async function bodiesOf(
  requests: Requests,
  ports: Target["ports"],
  options: ShimBenchOptions,
): Promise<Readonly<Record<RequestName, string>>> {
  const bodies = new Map<RequestName, string>();
  for (const name of REQUESTS) {
    const place = { host: NODE_ADDRESS, port: ports[name] };
    const bounds = { connections: 1, seconds: 1, maxRequests: 1 };
    const { answers } = await runLoadProcess({ ...requests[name], ...place, ...bounds }, options);
    const [body = ""] = answers;
    if (name === "list" && body !== ROLE_NAME) throw new Error(`A wrong list: ${body}`);
    if (name === "credentials" || name === "container") Credentials.parse(JSON.parse(body));
    bodies.set(name, body);
  }
  return byRequest((name) => bodies.get(name) ?? "");
}

async function startBare(
  { stage: { folder } }: ShimGround,
  {
    bodies,
    cores,
  }: {
    readonly bodies: Readonly<Record<RequestName, string>>;
    readonly cores: Cores;
  },
  stack: AsyncDisposableStack,
): Promise<Target> {
  const ports = new Map<RequestName, number>();
  const served: string[] = [];
  for (const name of REQUESTS) {
    const file = join(folder, `${name}.body`);
    await writeFile(file, bodies[name]);
    const port = await freePort([NODE_ADDRESS]);
    ports.set(name, port);
    served.push(`${port}:${file}`);
  }
  const main = fileURLToPath(new URL("bare-main.ts", import.meta.url));
  const args = [main, NODE_ADDRESS, ...served];
  const place = { folder, core: cores?.server };
  const server = stack.use(await startServerProcess("bare", args, place));
  return { server, ports: byRequest((name) => ports.get(name) ?? 0) };
}

interface Contest {
  readonly ground: ShimGround;
  readonly options: ShimBenchOptions;
  readonly requests: Requests;
  readonly shim: Target;
  readonly bare: Target;
}

async function measureRounds({
  ground: { kube, proxy },
  options,
  requests,
  shim,
  bare,
}: Contest): Promise<Pick<ShimMeasured, "bare" | "shim" | "whileEvents">> {
  const { rounds, secondsPerLoad, progress } = options;
  const measure = async (
    { server, ports }: Target,
    name: RequestName,
    connections: number,
  ): Promise<CostedCell> => {
    const place = { host: NODE_ADDRESS, port: ports[name] };
    const bounds = { connections, seconds: secondsPerLoad, maxRequests: MAX_REQUESTS };
    const beforeSeconds = await server.cpuSeconds();
    const result = await runLoadProcess({ ...requests[name], ...place, ...bounds }, options);
    const cpuSeconds = (await server.cpuSeconds()) - beforeSeconds;
    return { ...result, cpuUs: (cpuSeconds * 1e6) / result.requests };
  };
  const nextEvent = await podEventsOf(kube);
  progress("Warming up");
  for (const name of REQUESTS) {
    await measure(bare, name, 8);
    await measure(shim, name, 8);
  }
  const standards = new Map<string, CostedCell[]>();
  const comparisons = new Map<string, ShimCell[]>();
  const disturbed = new Map<string, (Cell & { readonly eventsPerSecond: number })[]>();
  for (let round = 1; round <= rounds; round += 1) {
    progress(`Round ${round}`);
    for (const name of REQUESTS) {
      for (const connections of CONNECTIONS) {
        const standard = await measure(bare, name, connections);
        const own = await measure(shim, name, connections);
        append(standards, `${name} ${connections}`, standard);
        append(comparisons, `${name} ${connections}`, shimCell(own, standard));
      }
    }
    for (const name of CACHED) {
      const events = { proxy, nextEvent, perSecond: EVENTS_PER_SECOND };
      const { result, eventsPerSecond } = await withPodEvents(events, () =>
        measure(shim, name, EVENT_CONNECTIONS),
      );
      append(disturbed, name, { ...result, eventsPerSecond });
    }
  }
  const bareOf = (name: RequestName): ByConnections<CostedCell> =>
    byConnections((connections) => middleOfCosted(standards.get(`${name} ${connections}`) ?? []));
  const shimOf = (name: RequestName): ByConnections<ShimCell> =>
    byConnections((connections) => {
      const cells = comparisons.get(`${name} ${connections}`) ?? [];
      const cpuRatio = median(cells.map((cell) => cell.cpuRatio));
      return { ...middleOfCosted(cells), ...middleOfCompared(cells), cpuRatio };
    });
  const disturbedOf = (name: string): Cell & { readonly eventsPerSecond: number } => {
    const cells = disturbed.get(name) ?? [];
    const eventsPerSecond = median(cells.map((cell) => cell.eventsPerSecond));
    return { ...middleOf(cells), eventsPerSecond };
  };
  return {
    bare: byRequest(bareOf),
    shim: byRequest(shimOf),
    whileEvents: { credentials: disturbedOf("credentials"), container: disturbedOf("container") },
  };
}

function shimCell(cell: CostedCell, standard: CostedCell): ShimCell {
  const cpuRatio = standard.cpuUs / cell.cpuUs;
  return { ...compared(cell, standard), cpuUs: cell.cpuUs, cpuRatio };
}

function middleOfCosted(cells: readonly CostedCell[]): CostedCell {
  return { ...middleOf(cells), cpuUs: median(cells.map(({ cpuUs }) => cpuUs)) };
}

function byRequest<T>(of: (name: RequestName) => T): Readonly<Record<RequestName, T>> {
  return {
    list: of("list"),
    credentials: of("credentials"),
    container: of("container"),
    token: of("token"),
  };
}
