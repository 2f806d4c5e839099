import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { imageSettingsOf } from "../scripts/image/image-settings.ts";

const HeapMb = z.object({ before: z.number(), after: z.number() });
const module = new URL("give-memory-back.ts", import.meta.url).href;
const dockerfile = readFileSync(new URL("../Dockerfile", import.meta.url), "utf8");

/** Has 50 MB of garbage in the old generation of a program's heap, and tells its size. */
function heapMbWith(NODE_OPTIONS: string): z.infer<typeof HeapMb> {
  const script = `
    import { giveMemoryBack } from ${JSON.stringify(module)};
    let kept = Array.from({ length: 50 }, () => Array.from({ length: 131_072 }, (_, i) => i / 3));
    kept = undefined;
    const mb = () => process.memoryUsage().heapTotal / 1e6;
    const before = mb();
    giveMemoryBack();
    console.log(JSON.stringify({ before, after: mb() }));`;
  const args = ["--input-type=module", "--eval", script];
  const env = { NODE_OPTIONS };
  return HeapMb.parse(JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8", env })));
}

describe("giveMemoryBack", () => {
  it("makes the heap smaller with the options of the image", () => {
    const { before, after } = heapMbWith(imageSettingsOf(dockerfile).env["NODE_OPTIONS"] ?? "");
    assert.ok(before > 40, `${before} MB before`);
    assert.ok(after < 20, `${after} MB after`);
  });

  it("does nothing without them", () => {
    const { before, after } = heapMbWith("");
    assert.ok(before > 40, `${before} MB before`);
    assert.ok(after > 40, `${after} MB after`);
  });
});
