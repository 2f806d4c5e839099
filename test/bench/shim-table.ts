import type { Goal } from "./result.ts";
import { CACHED, REQUESTS, type ShimMeasured } from "./shim-result.ts";
import { goalLines, lineOf, rowOf } from "./table.ts";

const HEADER = [
  "",
  "connections",
  "req/s",
  "p50 ms",
  "p99 ms",
  "of bare",
  "p99 ratio",
  "cpu us",
  "of bare",
  "first ms",
];

/** What people read: the loads as a table, then single figures, then the goals. */
export function shimTableOf(measured: ShimMeasured, goals: readonly Goal[]): string {
  const { bodyBytes, residentMb, whileEvents } = measured;
  const rows = REQUESTS.flatMap((name) => [
    ...Object.entries(measured.bare[name]).map(([connections, cell]) => [
      ...rowOf(`bare, ${bodyBytes[name]} B`, connections, cell),
      "",
      "",
      cell.cpuUs.toFixed(1),
      "",
      cell.slowestFirstMs.toFixed(1),
    ]),
    ...Object.entries(measured.shim[name]).map(([connections, cell]) => [
      ...rowOf(name, connections, cell),
      cell.throughputRatio.toFixed(2),
      cell.p99Ratio.toFixed(2),
      cell.cpuUs.toFixed(1),
      cell.cpuRatio.toFixed(2),
      cell.slowestFirstMs.toFixed(1),
    ]),
  ]);
  const cores = measured.separateCores ? "a core each" : "cores shared";
  return [
    `${measured.pods} pods, ${measured.podsOfNode} of them on the node; median of ` +
      `${measured.rounds} rounds of ${measured.secondsPerLoad} s a load; ` +
      `server and load: ${cores}; Node ${measured.node}`,
    "",
    ...[HEADER, ...rows].map(lineOf),
    "",
    `resident: ${residentMb.ready.toFixed(0)} MB when ready, ` +
      `${residentMb.withCredentials.toFixed(0)} MB with credentials of all pods of the node, ` +
      `${residentMb.afterLoad.toFixed(0)} MB after the load`,
    ...CACHED.map((name) => {
      const { eventsPerSecond, perSecond, p50Ms, p99Ms } = whileEvents[name];
      return (
        `${name}, while ${eventsPerSecond.toFixed(0)} events a second come in: ` +
        `${perSecond.toFixed(0)} req/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`
      );
    }),
    "",
    ...goalLines(goals),
    "",
  ].join("\n");
}
