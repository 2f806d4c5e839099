import { REVIEWS, type Cell, type Goal, type Measured } from "./result.ts";

const HEADER = ["", "connections", "req/s", "p50 ms", "p99 ms", "of calibration", "p99 ratio"];
const WIDTHS = [12, 12, 8, 8, 8, 15, 10, 8, 9, 10];

/** What people read: the loads as a table, then single figures, then the goals. */
export function tableOf(measured: Measured, goals: readonly Goal[]): string {
  const { startUp, residentMb } = measured;
  const rows = [
    HEADER,
    ...Object.entries(measured.calibration).map(([connections, cell]) =>
      rowOf("calibration", connections, cell),
    ),
    ...REVIEWS.flatMap((name) =>
      Object.entries(measured.webhook[name]).map(([connections, cell]) => [
        ...rowOf(name, connections, cell),
        cell.throughputRatio.toFixed(2),
        cell.p99Ratio.toFixed(2),
      ]),
    ),
  ];
  const cores = measured.separateCores ? "a core each" : "cores shared";
  return [
    `${measured.accounts} ServiceAccounts, ${measured.annotated} with a role; review of ` +
      `${measured.reviewBytes} bytes; median of ${measured.rounds} rounds of ` +
      `${measured.secondsPerLoad} s a load; server and load: ${cores}; Node ${measured.node}`,
    "",
    ...rows.map(lineOf),
    "",
    `patch: ${measured.patchBytes} bytes`,
    `resident: ${residentMb.ready.toFixed(0)} MB when ready, ${residentMb.afterLoad.toFixed(0)} MB after the load`,
    `start: first correct answer after ${startUp.firstCorrectSeconds.toFixed(2)} s, ` +
      `all ServiceAccounts known after ${startUp.readySeconds.toFixed(2)} s; ` +
      `of ${startUp.earlyAnswers} answers before that ${startUp.earlyUnmutated} without identity`,
    "",
    ...goalLines(goals),
    "",
  ].join("\n");
}

/** What was wanted, a line each. */
export function goalLines(goals: readonly Goal[]): readonly string[] {
  return goals.map(({ goal, value, met }) => {
    const figure = Number.isInteger(value) ? String(value) : value.toFixed(2);
    return `${met ? "met   " : "missed"}  ${goal}: ${figure}`;
  });
}

/** The fields of a load. */
export function rowOf(name: string, connections: string, cell: Cell): readonly string[] {
  const { perSecond, p50Ms, p99Ms } = cell;
  return [name, connections, perSecond.toFixed(0), p50Ms.toFixed(2), p99Ms.toFixed(2)];
}

/** One line of the table. */
export function lineOf(row: readonly string[]): string {
  return row.map(pad).join("");
}

function pad(text: string, column: number): string {
  const width = WIDTHS[column] ?? 0;
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}
