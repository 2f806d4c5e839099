import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { rsaKey } from "../test/fakes/key-views.ts";
import type { PublicJwk } from "./jwk.ts";
import { combineKeyStates, type KeyState } from "./merge.ts";

const state = (
  lastCompleteMs: number | undefined,
  ...keys: readonly (readonly [PublicJwk, number, number, number | undefined])[]
): KeyState => ({
  keys: keys.map(([jwk, firstSeenMs, lastSeenMs, absentSinceMs]) => ({
    jwk,
    firstSeenMs,
    lastSeenMs,
    absentSinceMs,
  })),
  lastCompleteMs,
});

describe("combineKeyStates", () => {
  it("is the union, sorted, with the widest sightings", () => {
    assert.deepEqual(
      combineKeyStates(
        state(5, [rsaKey("b"), 3, 4, undefined], [rsaKey("c"), 1, 1, undefined]),
        state(7, [rsaKey("a"), 1, 1, undefined], [rsaKey("b"), 2, 6, undefined]),
      ),
      state(
        7,
        [rsaKey("a"), 1, 1, undefined],
        [rsaKey("b"), 2, 6, undefined],
        [rsaKey("c"), 1, 1, undefined],
      ),
    );
  });

  for (const [name, mine, other, expected] of [
    ["the later start of two", [1, 2, 5], [1, 2, 7], 7],
    ["the only one, when nobody saw the key after it", [1, 2, 5], [1, 4, undefined], 5],
    ["none, when it was seen since", [1, 2, 5], [1, 6, undefined], undefined],
    ["none, when it was seen at that moment", [1, 2, 5], [1, 5, undefined], undefined],
  ] as const) {
    it(`takes as absence ${name}`, () => {
      const [a, b] = [state(9, [rsaKey("k"), ...mine]), state(9, [rsaKey("k"), ...other])];
      for (const combined of [combineKeyStates(a, b), combineKeyStates(b, a)]) {
        assert.equal(combined.keys[0]?.absentSinceMs, expected);
      }
    });
  }

  it("keeps the own key of a kid that the other has with another key", () => {
    const mine = state(1, [rsaKey("k"), 1, 1, undefined]);
    const other = state(1, [rsaKey("k", "forged"), 0, 9, undefined]);
    assert.deepEqual(combineKeyStates(mine, other), mine);
  });
});
