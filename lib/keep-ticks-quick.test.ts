import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { promisify } from "node:util";

/** Tells what V8 knows of the places where tick objects get their fields, after a collection at rest. */
const PROGRAM = `
  const [module, before] = process.argv.slice(1);
  if (module !== "") (await import(module)).keepTicksQuick();
  const ticks = async (count) => {
    for (let i = 0; i < count; i += 1) await new Promise((resolve) => process.nextTick(resolve));
  };
  await ticks(Number(before));
  // No tick is waiting any more. V8 keeps some unused shapes for the next collections.
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (let i = 0; i < 4; i += 1) gc();
  await ticks(100);
  const places = Array.from(%GetFeedback(process.nextTick)).filter(Boolean);
  const states = places
    .filter(([kind]) => kind === "DefineKeyedOwnPropertyInLiteral")
    .map(([, state]) => state.split("\\n", 1)[0]);
  console.log(JSON.stringify(states));
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
const QUICK: readonly string[] = Array.from({ length: 5 }, () => "MONOMORPHIC");
const SLOW = QUICK.map((state, place) => (place === 0 ? state : "MEGAMORPHIC"));

describe("the objects of ticks after a collection of garbage", () => {
  for (const ticks of [100, 10_000]) {
    it(`behind ${ticks} ticks have an unknown shape from then on, unless one is kept`, async () => {
      assert.deepEqual(await statesAfter(ticks, { module: "" }), SLOW);
      assert.deepEqual(await statesAfter(ticks, { module: MODULE }), QUICK);
    });
  }
});
