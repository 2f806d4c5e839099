import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runNatives } from "../test/fakes/run-natives.ts";
import { TICK_STATES } from "../test/fakes/tick-states.ts";

const PROGRAM = `
  const [module, ticks] = process.argv.slice(1);
  if (module !== "") (await import(module)).keepTicksQuick();
  for (let i = 0; i < Number(ticks); i += 1) {
    await new Promise((resolve) => process.nextTick(resolve));
  }
  console.log(JSON.stringify([...new Set(await (${TICK_STATES})())]));
`;

const MODULE = new URL("keep-ticks-quick.ts", import.meta.url).href;

describe("the shape of tick objects", () => {
  // Before V8 has compiled the function that makes them, and after it has.
  for (const ticks of [100, 10_000]) {
    it(`is forgotten when there is a rest behind ${ticks} ticks, unless one is kept`, async () => {
      assert.deepEqual(await runNatives(PROGRAM, ["", String(ticks)]), [
        "MONOMORPHIC",
        "MEGAMORPHIC",
      ]);
      assert.deepEqual(await runNatives(PROGRAM, [MODULE, String(ticks)]), ["MONOMORPHIC"]);
    });
  }
});
