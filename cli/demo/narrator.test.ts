import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { createNarrator } from "./narrator.ts";

function narrate(isTerminal: boolean): {
  narrator: ReturnType<typeof createNarrator>;
  written: () => string;
} {
  const output = new PassThrough({ encoding: "utf8" });
  const narrator = createNarrator(output, { isTerminal, isColoured: false });
  return { narrator, written: () => String(output.read() ?? "") };
}

describe("createNarrator", () => {
  it("writes plain numbered lines in a pipe", async () => {
    const { narrator, written } = narrate(false);
    assert.equal(
      await narrator.step("Start", "In your cluster: it runs.", () => Promise.resolve(7)),
      7,
    );
    narrator.show(["detail"]);
    await narrator.step("Stop", "It ends.\nReally.", () => Promise.resolve());
    assert.equal(
      written().replaceAll(/\d+\.\d s/g, "0.0 s"),
      "✔ 1. Start 0.0 s\n    In your cluster: it runs.\n    detail\n✔ 2. Stop 0.0 s\n    It ends.\n    Really.\n",
    );
  });

  it("marks the step that failed and passes its error on", async () => {
    const { narrator, written } = narrate(false);
    const failing = narrator.step("Start", "", () => Promise.reject(new Error("no port")));
    await assert.rejects(failing, /no port/);
    assert.equal(written(), "✘ 1. Start\n");
  });

  it("moves one line on a terminal and clears it at the end", async () => {
    const { narrator, written } = narrate(true);
    await narrator.step("Start", "", () => Promise.resolve());
    const clear = "\r\u001B[2K";
    assert.ok(written().startsWith(`${clear}⠋ 1. Start${clear}✔ 1. Start`));
  });
});
