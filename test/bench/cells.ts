import { median, type ByConnections, type Cell, type ComparedCell } from "./result.ts";

/** How many connections a load has. */
export const CONNECTIONS = [1, 8, 32] as const;

/** Puts what was measured in a round to that of the rounds before. */
export function append<T>(lists: Map<string, T[]>, key: string, value: T): void {
  lists.set(key, [...(lists.get(key) ?? []), value]);
}

export function byConnections<T>(of: (connections: number) => T): ByConnections<T> {
  return Object.fromEntries(
    CONNECTIONS.map((connections) => [String(connections), of(connections)]),
  );
}

/** The medians of some rounds. */
export function middleOf(cells: readonly Cell[]): Cell {
  return {
    perSecond: median(cells.map(({ perSecond }) => perSecond)),
    p50Ms: median(cells.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(cells.map(({ p99Ms }) => p99Ms)),
  };
}

/** The medians of some rounds, the ratios' too: each is of one round. */
export function middleOfCompared(cells: readonly ComparedCell[]): ComparedCell {
  return {
    ...middleOf(cells),
    throughputRatio: median(cells.map(({ throughputRatio }) => throughputRatio)),
    p99Ratio: median(cells.map(({ p99Ratio }) => p99Ratio)),
  };
}

/** A load next to the same load on the standard in the same round. */
export function compared(cell: Cell, standard: Cell): ComparedCell {
  const { perSecond, p50Ms, p99Ms } = cell;
  return {
    perSecond,
    p50Ms,
    p99Ms,
    throughputRatio: perSecond / standard.perSecond,
    p99Ratio: p99Ms / standard.p99Ms,
  };
}
