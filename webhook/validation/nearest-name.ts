/**
 * The known name that a written one was most likely meant to be: the one with the fewest slips
 * (a character too many, missing, wrong, or two exchanged). Upper case and `_` for `-` are no slips.
 *
 * @returns undefined when even the nearest has more than `maxSlips`.
 */
export function nearestName<T extends string>(
  written: string,
  known: readonly T[],
  maxSlips: number,
): T | undefined {
  const plainWritten = plain(written);
  let best: { readonly name: T; readonly slips: number } | undefined;
  for (const name of known) {
    const plainName = plain(name);
    // There are as many slips at least; an object may have thousands of keys far from any name.
    if (Math.abs(plainWritten.length - plainName.length) > maxSlips) continue;
    const slips = slipsBetween(plainWritten, plainName);
    if (slips <= maxSlips && (best === undefined || slips < best.slips)) best = { name, slips };
  }
  return best?.name;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** Optimal string alignment distance, a row at a time. */
function slipsBetween(a: string, b: string): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let slips = Math.min(change, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        slips = Math.min(slips, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(slips);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
