import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { retryAfterMs } from "./retry-after.ts";

const nowMs = Date.UTC(2026, 0, 1, 12);

describe("retryAfterMs", () => {
  for (const [header, ms] of [
    [undefined, undefined],
    ["", undefined],
    ["0", 0],
    ["1", 1000],
    ["120", 120_000],
    ["-1", undefined],
    ["1.5", undefined],
    ["1e3", undefined],
    ["soon", undefined],
    ["9999999999", undefined],
    ["Thu, 01 Jan 2026 12:00:05 GMT", 5000],
    ["Thursday, 01-Jan-26 12:00:05 GMT", 5000],
    ["Thu, 01 Jan 2026 12:00:00 GMT", 0],
    ["Thu, 01 Jan 2026 11:00:00 GMT", 0],
    ["2026-01-01T12:00:05Z", undefined],
    ["Thu, nonsense", undefined],
  ] as const) {
    it(`reads ${JSON.stringify(header) ?? "no header"} as ${ms} ms`, () => {
      assert.equal(retryAfterMs(header, nowMs), ms);
    });
  }
});
