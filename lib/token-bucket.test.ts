import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import { TokenBucket } from "./token-bucket.ts";

describe("TokenBucket", () => {
  it("gives the burst at once, and no more", () => {
    const bucket = new TokenBucket({ burst: 2, perMinute: 6, clock: createMovedClock() });
    assert.deepEqual([bucket.take(), bucket.take(), bucket.take()], [true, true, false]);
  });

  it("gives one again after its share of a minute, not before", () => {
    const clock = createMovedClock();
    const bucket = new TokenBucket({ burst: 1, perMinute: 6, clock });
    bucket.take();
    clock.advance(9_999);
    assert.equal(bucket.take(), false);
    clock.advance(1);
    assert.equal(bucket.take(), true);
  });

  it("saves no more than the burst", () => {
    const clock = createMovedClock();
    const bucket = new TokenBucket({ burst: 2, perMinute: 6, clock });
    clock.advance(3_600_000);
    assert.deepEqual([bucket.take(), bucket.take(), bucket.take()], [true, true, false]);
  });

  it("gives nothing for a clock that is set back", () => {
    const clock = createMovedClock();
    const bucket = new TokenBucket({ burst: 1, perMinute: 60, clock });
    bucket.take();
    clock.advance(-10_000);
    assert.equal(bucket.take(), false);
    clock.advance(1000);
    assert.equal(bucket.take(), true);
  });
});
