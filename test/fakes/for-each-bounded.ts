/**
 * Does something for each of the numbers 0 to `count` - 1, for at most `concurrency` of them at a
 * time. The first failure is thrown once what was under way has ended; nothing is begun after it.
 */
export async function forEachBounded(
  count: number,
  concurrency: number,
  work: (number: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    while (next < count && failures.length === 0) {
      const number = next;
      next += 1;
      try {
        await work(number);
      } catch (err) {
        failures.push(err);
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (failures.length > 0) throw failures[0];
}
