import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { onceFor } from "./once-for.ts";

describe("onceFor", () => {
  it("makes it once for each object, with what is beside it", () => {
    const made: string[] = [];
    const nameOf = onceFor(({ id }: { id: number }, unit: string) => {
      made.push(`${id} ${unit}`);
      return { text: `${id} ${unit}` };
    });
    const one = { id: 1 };
    const first = nameOf(one, "MB");
    assert.deepEqual(first, { text: "1 MB" });
    assert.equal(nameOf(one, "MB"), first);
    assert.deepEqual(nameOf({ id: 1 }, "s"), { text: "1 s" });
    assert.deepEqual(made, ["1 MB", "1 s"]);
  });

  it("remembers that it made nothing, and forgets what failed", () => {
    let calls = 0;
    const nothing = onceFor((_key: object) => {
      calls += 1;
      return undefined;
    });
    const key = {};
    nothing(key);
    nothing(key);
    assert.equal(calls, 1);

    const failing = onceFor((_key: object) => {
      calls += 1;
      if (calls === 2) throw new Error("not yet");
      return calls;
    });
    assert.throws(() => failing(key), /not yet/);
    assert.equal(failing(key), 3);
  });
});
