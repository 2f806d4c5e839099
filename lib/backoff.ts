/**
 * The wait before try number `attempt` (1 is the first retry), in milliseconds: exponential from
 * `baseMs`, capped at `maxMs`, and spread over its upper half so that replicas do not retry as one.
 *
 * @param random A number in [0, 1).
 */
export function backoffMs(
  attempt: number,
  { baseMs, maxMs, random }: { baseMs: number; maxMs: number; random: number },
): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full / 2 + (full / 2) * random);
}
