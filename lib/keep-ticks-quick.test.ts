import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { TICK_STATES } from "../test/fakes/tick-states.ts";

const PROGRAM = `
  const [module, ticks] = process.argv.slice(1);
  if (module !== "") (await import(module)).keepTicksQuick();
  for (let i = 0; i < Number(ticks); i += 1) {
    await new Promise((resolve) => process.nextTick(resolve));
  }
  console.log(JSON.stringify([...new Set(await (${TICK_STATES})())]));
`;

async function statesAfter(
  ticks: number,
  { module }: { readonly module: string },
): Promise<unknown> {
  const flags = ["--allow-natives-syntax", "--expose-gc", "--input-type=module"];
  const args = [...flags, "-e", PROGRAM, module, String(ticks)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

const MODULE = new URL("keep-ticks-quick.ts", import.meta.url).href;

describe("the shape of tick objects", () => {
  // Before V8 has compiled the function that makes them, and after it has.
  for (const ticks of [100, 10_000]) {
    it(`is forgotten when there is a rest behind ${ticks} ticks, unless one is kept`, async () => {
      assert.deepEqual(await statesAfter(ticks, { module: "" }), ["MONOMORPHIC", "MEGAMORPHIC"]);
      assert.deepEqual(await statesAfter(ticks, { module: MODULE }), ["MONOMORPHIC"]);
    });
  }
});
