import { Counter, Histogram, type Registry } from "prom-client";

/** Name and help of an instrument, and where it is shown. */
interface Instrument {
  readonly name: string;
  readonly help: string;
  readonly registers: Registry[];
}

/**
 * Makes a counter of answers by a word for each and their status. It counts in plain numbers: to make
 * the labels of one takes as long as to find a pod, and they are needed only when somebody reads them.
 */
export function createAnswerCounter<W extends string, L extends string>(
  instrument: Instrument & { readonly labelNames: readonly L[] },
  labelsOf: (word: W, code: string) => Readonly<Record<L, string>>,
): (word: W, status: number) => void {
  const counts = new Map<W, Map<number, number>>();
  const counter = new Counter({
    ...instrument,
    collect() {
      for (const [word, byStatus] of counts) {
        for (const [status, count] of byStatus) counter.inc(labelsOf(word, String(status)), count);
      }
      counts.clear();
    },
  });
  return (word, status) => {
    let byStatus = counts.get(word);
    if (byStatus === undefined) counts.set(word, (byStatus = new Map()));
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
  };
}

/** So many are told to the histogram at once. */
const DURATIONS_AT_ONCE = 256;

/**
 * Makes a histogram of durations, in seconds, which is told of many at once: in between requests each
 * costs several times what it does next to others, when all that it needs is at hand.
 */
export function createDurationHistogram(
  instrument: Instrument & { readonly buckets: number[] },
): (seconds: number) => void {
  const durations = new Float64Array(DURATIONS_AT_ONCE);
  let count = 0;
  const flush = (): void => {
    const told = durations.subarray(0, count);
    count = 0;
    for (const seconds of told) histogram.observe(seconds);
  };
  const histogram = new Histogram({ ...instrument, collect: flush });
  return (seconds) => {
    durations[count] = seconds;
    count += 1;
    if (count === DURATIONS_AT_ONCE) flush();
  };
}
