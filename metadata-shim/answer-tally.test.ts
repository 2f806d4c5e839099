import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { createAnswerCounter, createDurationHistogram } from "./answer-tally.ts";

describe("a counter of answers", () => {
  it("shows how many there were, however often it is read", async () => {
    const registry = new Registry();
    const instrument = { name: "answers", help: "Answers", registers: [registry] };
    const count = createAnswerCounter(
      { ...instrument, labelNames: ["word", "code"] },
      (word, code) => ({
        word,
        code,
      }),
    );
    for (const status of [200, 200, 404]) count("list", status);
    count("role", 200);
    const first = await registry.metrics();
    assert.equal(await registry.metrics(), first);
    count("list", 200);
    const lines = (await registry.metrics())
      .split("\n")
      .filter((line) => line.startsWith("answers{"));
    assert.deepEqual(lines, [
      'answers{word="list",code="200"} 3',
      'answers{word="list",code="404"} 1',
      'answers{word="role",code="200"} 1',
    ]);
  });
});

describe("a histogram of durations", () => {
  it("goes on after one that is no number", async () => {
    const registry = new Registry();
    const instrument = { name: "took", help: "Time", buckets: [1], registers: [registry] };
    const observe = createDurationHistogram(instrument);
    observe(Number.NaN);
    await assert.rejects(registry.metrics(), /not a valid number/);
    for (let i = 0; i < 300; i += 1) observe(0.5);
    assert.match(await registry.metrics(), /^took_count 300$/m);
  });

  for (const count of [0, 1, 255, 256, 257, 1000]) {
    it(`shows ${count}, each in its bucket, however often it is read`, async () => {
      const registry = new Registry();
      const instrument = { name: "took", help: "Time", buckets: [0.25, 1] };
      const observe = createDurationHistogram({ ...instrument, registers: [registry] });
      for (let i = 0; i < count; i += 1) observe([0.125, 0.5, 2][i % 3] ?? 0);
      const short = Math.ceil(count / 3);
      const middle = Math.ceil((count - 1) / 3);
      const long = count - short - middle;
      const expected = [
        `took_bucket{le="0.25"} ${short}`,
        `took_bucket{le="1"} ${short + middle}`,
        `took_bucket{le="+Inf"} ${count}`,
        `took_sum ${short * 0.125 + middle * 0.5 + long * 2}`,
        `took_count ${count}`,
      ];
      for (let reads = 0; reads < 2; reads += 1) {
        const lines = (await registry.metrics())
          .split("\n")
          .filter((line) => line.startsWith("took"));
        assert.deepEqual(lines, expected);
      }
    });
  }
});
