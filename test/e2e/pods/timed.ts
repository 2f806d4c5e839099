/** Does something, and tells on stderr how long it took. */
export async function timed<T>(step: string, work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const result = await work();
  process.stderr.write(`${step}: ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`);
  return result;
}
