/**
 * Text of a JavaScript function that collects garbage at rest, and then tells what V8 knows of the places
 * where tick objects get their fields: all "MONOMORPHIC" as long as ticks are quick. It needs Node's
 * flags `--expose-gc` and `--allow-natives-syntax`.
 */
export const TICK_STATES = `async () => {
  const rest = () => new Promise((resolve) => setTimeout(resolve, 20));
  const tick = () => new Promise((resolve) => process.nextTick(resolve));
  // No tick is waiting any more. V8 keeps some unused shapes for the next collections.
  await rest();
  for (let i = 0; i < 4; i += 1) gc();
  for (let i = 0; i < 100; i += 1) await tick();
  return Array.from(%GetFeedback(process.nextTick))
    .filter(Boolean)
    .filter(([kind]) => kind === "DefineKeyedOwnPropertyInLiteral")
    .map(([, state]) => state.split("\\n", 1)[0]);
}`;
