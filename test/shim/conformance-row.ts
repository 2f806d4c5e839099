import type { ShimWorld } from "./shim-world.ts";

/** One row of the list: what is asked, and the check of what comes back. */
export interface ConformanceRow {
  /** As in the list of a hundred. */
  readonly number: number;
  readonly title: string;
  readonly check: (world: ShimWorld) => Promise<void> | void;
}

/** Makes the function that adds a row to a list. */
export function rowsInto(
  rows: ConformanceRow[],
): (number: number, title: string, check: ConformanceRow["check"]) => void {
  return (number, title, check) => void rows.push({ number, title, check });
}

/** What came of a row. */
export interface RowResult {
  readonly number: number;
  readonly title: string;
  /** What was wrong; undefined when nothing was. */
  readonly problem: string | undefined;
}

/** Checks rows one after the other, whatever comes of them. */
export async function checkRows(
  world: ShimWorld,
  rows: readonly ConformanceRow[],
  onResult: (result: RowResult) => void,
): Promise<void> {
  for (const { number, title, check } of rows) {
    let problem: string | undefined;
    try {
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share a world
      await check(world);
    } catch (err) {
      problem = err instanceof Error ? (err.stack ?? err.message) : String(err);
    }
    onResult({ number, title, problem });
  }
}

/** The rows as a table: number, verdict, title. */
export function rowTable(results: readonly RowResult[]): string {
  const lines = results
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, title, problem }) => {
      const verdict = problem === undefined ? "ok" : "FAILED";
      return `${String(number).padStart(3)}  ${verdict.padEnd(6)}  ${title}`;
    });
  const good = results.filter(({ problem }) => problem === undefined).length;
  return `${lines.join("\n")}\n${good} of ${results.length} rows conform\n`;
}
