import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCsvRecord } from "./csv-record.ts";

const MOST = 262_144;

describe("parseCsvRecord", () => {
  it("reads as much as the annotations of an object may hold", () => {
    assert.equal(parseCsvRecord(",".repeat(MOST))?.fields.length, MOST + 1);
    assert.deepEqual(parseCsvRecord(`"${'""'.repeat(MOST / 2 - 1)}"`)?.fields, [
      '"'.repeat(MOST / 2 - 1),
    ]);
  });

  it("reads no more than that, since a review may have ten times as much", () => {
    assert.equal(parseCsvRecord("a".repeat(MOST + 1)), undefined);
  });
});
