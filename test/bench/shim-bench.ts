import { startBareServer, type Target } from "./bare-server.ts";
import {
  append,
  byConnections,
  compared,
  CONNECTIONS,
  middleOf,
  middleOfCompared,
} from "./cells.ts";
import type { Cores } from "./cores.ts";
import { runLoadProcess } from "./load-process.ts";
import { NODE_ADDRESS } from "./node-pods.ts";
import { podEventsOf, withPodEvents } from "./pod-events.ts";
import { median, type ByConnections, type Cell } from "./result.ts";
import { prepareShimGround, startBenchShim, type ShimGround } from "./shim-ground.ts";
import { bodiesOf, requestsOf, type ShimRequests } from "./shim-requests.ts";
import {
  byRequest,
  CACHED,
  EVENTS_PER_SECOND,
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
const EVENT_CONNECTIONS = 8;
const MAX_REQUESTS = 1_000_000;

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
  const bare = await startBareServer(ground, { bodies, cores }, stack);
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

interface Contest {
  readonly ground: ShimGround;
  readonly options: ShimBenchOptions;
  readonly requests: ShimRequests;
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
  const { slowestFirstMs, cpuUs } = cell;
  return { ...compared(cell, standard), slowestFirstMs, cpuUs, cpuRatio };
}

function middleOfCosted(cells: readonly CostedCell[]): CostedCell {
  return {
    ...middleOf(cells),
    slowestFirstMs: median(cells.map(({ slowestFirstMs }) => slowestFirstMs)),
    cpuUs: median(cells.map(({ cpuUs }) => cpuUs)),
  };
}
