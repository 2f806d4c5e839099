import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  absencesOf,
  answered,
  ecKey,
  failed,
  HOUR,
  kidsOf,
  pending,
  rsaKey,
  rules,
} from "../test/fakes/key-views.ts";
import {
  EMPTY_KEY_STATE,
  MAX_VIEW_GAP_MS,
  nextKeyState,
  type KeyState,
  type SourceView,
} from "./merge.ts";

/** Polls the same view every half hour, from one hour to another, both included. */
function pollHalfHourly(
  start: KeyState,
  fromHour: number,
  toHour: number,
  viewAt: (atMs: number) => readonly SourceView[],
): KeyState {
  let state = start;
  for (let hour = fromHour; hour <= toHour; hour += 0.5) {
    state = nextKeyState(state, viewAt(hour * HOUR), rules(hour * HOUR)).state;
  }
  return state;
}

/** The source has lost one of its two keys. */
const without = (atMs: number) => [answered("a", atMs, "new")];

describe("nextKeyState", () => {
  it("publishes the union of all sources, sorted by kid", () => {
    const view = [answered("b", 5, "z", "m"), answered("a", 4, "m", ecKey("a"))];
    const { state, added } = nextKeyState(EMPTY_KEY_STATE, view, rules(6));
    assert.deepEqual(kidsOf(state), ["a", "m", "z"]);
    assert.deepEqual(added, ["a", "m", "z"]);
    assert.deepEqual(
      state.keys.map(({ firstSeenMs, lastSeenMs }) => [firstSeenMs, lastSeenMs]),
      [
        [4, 4],
        [5, 5],
        [5, 5],
      ],
    );
  });

  it("waits with a first set until every source has been asked", () => {
    const first = nextKeyState(EMPTY_KEY_STATE, [answered("a", 1, "k"), pending("b")], rules(1));
    assert.deepEqual(kidsOf(first.state), []);
    const second = nextKeyState(first.state, [answered("a", 1, "k"), failed("b")], rules(2));
    assert.deepEqual(kidsOf(second.state), ["k"]);
  });

  it("takes a new key at once when there is a set already", () => {
    const { state } = nextKeyState(EMPTY_KEY_STATE, [answered("a", 1, "k")], rules(1));
    const next = nextKeyState(state, [answered("a", 2, "k", "l"), pending("b")], rules(2));
    assert.deepEqual(kidsOf(next.state), ["k", "l"]);
  });

  it("is not ready without a source or with failing ones only", () => {
    for (const view of [[], [failed("a")], [answered("a", 1)]]) {
      assert.deepEqual(kidsOf(nextKeyState(EMPTY_KEY_STATE, view, rules(1)).state), []);
    }
  });

  describe("a key that is absent", () => {
    const start = nextKeyState(EMPTY_KEY_STATE, [answered("a", 0, "old", "new")], rules(0)).state;
    it("stays after one poll, and after polls for all but the whole wait", () => {
      assert.deepEqual(kidsOf(nextKeyState(start, without(1), rules(1)).state), ["new", "old"]);
      const state = pollHalfHourly(start, 1, 26.5, without);
      assert.deepEqual(kidsOf(state), ["new", "old"]);
      const justBefore = 27 * HOUR - 1;
      const before = nextKeyState(state, without(justBefore), rules(justBefore));
      assert.deepEqual(kidsOf(before.state), ["new", "old"]);
    });

    it("leaves when all sources have answered without it for the whole wait", () => {
      const state = pollHalfHourly(start, 1, 26.5, without);
      const { state: next, retired } = nextKeyState(state, without(27 * HOUR), rules(27 * HOUR));
      assert.deepEqual(kidsOf(next), ["new"]);
      assert.deepEqual(retired, ["old"]);
    });

    for (const [name, other] of [
      ["fails", () => failed("b")],
      ["is pending", () => pending("b")],
      ["answers without a key", (atMs: number) => answered("b", atMs)],
      ["serves it", (atMs: number) => answered("b", atMs, "old")],
      ["has answered too long ago", () => answered("b", 0, "new")],
    ] as const) {
      it(`stays for ever while another source ${name}`, () => {
        const state = pollHalfHourly(start, 1, 100, (atMs) => [...without(atMs), other(atMs)]);
        assert.deepEqual(kidsOf(state), ["new", "old"]);
      });
    }

    it("starts its wait again when it was seen in between", () => {
      const until20 = pollHalfHourly(start, 1, 20, without);
      const seen = nextKeyState(until20, [answered("a", 20.5 * HOUR, "old")], rules(20.5 * HOUR));
      const until46 = pollHalfHourly(seen.state, 21, 46.5, without);
      assert.deepEqual(kidsOf(until46), ["new", "old"]);
      assert.deepEqual(kidsOf(pollHalfHourly(until46, 47, 47, without)), ["new"]);
    });

    it("goes on waiting over a gap that is short enough, and starts again after a longer one", () => {
      const at20 = pollHalfHourly(start, 1, 20, without);
      const { absentSinceMs } = at20.keys.find(({ jwk }) => jwk.kid === "old") ?? {};
      assert.equal(absentSinceMs, HOUR);
      for (const [gapMs, expected] of [
        [MAX_VIEW_GAP_MS, HOUR],
        [MAX_VIEW_GAP_MS + 1, 20 * HOUR + MAX_VIEW_GAP_MS + 1],
      ] as const) {
        const nowMs = 20 * HOUR + gapMs;
        const { state } = nextKeyState(at20, without(nowMs), rules(nowMs));
        assert.equal(state.keys.find(({ jwk }) => jwk.kid === "old")?.absentSinceMs, expected);
      }
    });

    it("starts its wait only when every source has answered", () => {
      const partial = nextKeyState(start, [...without(HOUR), failed("b")], rules(HOUR)).state;
      const { state } = nextKeyState(partial, without(1.5 * HOUR), rules(1.5 * HOUR));
      assert.deepEqual(absencesOf(partial), [undefined, undefined]);
      assert.deepEqual(absencesOf(state), [undefined, 1.5 * HOUR]);
    });

    it("stays when the issuer was off, or its clock jumped, by more than the wait", () => {
      const absent = pollHalfHourly(start, 1, 2, without);
      for (const nowMs of [200 * HOUR, 0.5 * HOUR]) {
        const { state } = nextKeyState(absent, without(nowMs), rules(nowMs));
        assert.deepEqual(kidsOf(state), ["new", "old"]);
      }
    });
  });

  describe("a key that the operator retires", () => {
    const view = [answered("a", 1, "old", "new")];
    const start = nextKeyState(EMPTY_KEY_STATE, view, rules(1)).state;

    it("leaves at once and stays away although a source serves it", () => {
      const first = nextKeyState(start, view, rules(2, ["old"]));
      assert.deepEqual([kidsOf(first.state), first.retired], [["new"], ["old"]]);
      const second = nextKeyState(first.state, view, rules(3, ["old"]));
      assert.deepEqual([kidsOf(second.state), second.added, second.retired], [["new"], [], []]);
    });

    it("stays when nothing else would be left, which is told", () => {
      const { state, unretirable } = nextKeyState(start, view, rules(2, ["old", "new"]));
      assert.deepEqual(
        [kidsOf(state), unretirable],
        [
          ["new", "old"],
          ["new", "old"],
        ],
      );
      const cold = nextKeyState(EMPTY_KEY_STATE, [answered("a", 1, "k")], rules(2, ["k"]));
      assert.deepEqual([kidsOf(cold.state), cold.unretirable], [["k"], ["k"]]);
    });
  });

  describe("one kid with two keys", () => {
    const start = nextKeyState(EMPTY_KEY_STATE, [answered("a", 1, "k")], rules(1)).state;

    it("keeps the published key and takes the others' new keys", () => {
      const view = [answered("a", 2, rsaKey("k", "forged"), "l"), answered("b", 2, "k")];
      const { state, conflicts } = nextKeyState(start, view, rules(2));
      assert.deepEqual(conflicts, ["k"]);
      assert.deepEqual(
        state.keys.map(({ jwk }) => jwk),
        [rsaKey("k"), rsaKey("l")],
      );
    });

    it("keeps the published key also when every source serves another one, for ever", () => {
      const state = pollHalfHourly(start, 1, 60, (atMs) => [
        answered("a", atMs, rsaKey("k", "forged")),
      ]);
      assert.deepEqual(
        state.keys.map(({ jwk }) => jwk),
        [rsaKey("k")],
      );
    });

    it("publishes neither of two new keys", () => {
      const view = [answered("a", 2, rsaKey("m", "1")), answered("b", 2, rsaKey("m", "2"), "l")];
      const { state, conflicts } = nextKeyState(start, view, rules(2));
      assert.deepEqual([kidsOf(state), conflicts], [["k", "l"], ["m"]]);
    });

    it("sees it within one source, and between key types", () => {
      const view = [answered("a", 2, "m", ecKey("m"))];
      assert.deepEqual(nextKeyState(start, view, rules(2)).conflicts, ["m"]);
    });

    it("does not take another algorithm of the same key for a conflict", () => {
      const view = [answered("a", 2, { ...rsaKey("m"), alg: "RS512" }), answered("b", 2, "m")];
      const { state, conflicts } = nextKeyState(start, view, rules(2));
      assert.deepEqual(conflicts, []);
      assert.equal(state.keys.find(({ jwk }) => jwk.kid === "m")?.jwk.alg, "RS256");
    });
  });

  it("publishes 100 keys of each type and no more, without pushing a published one out", () => {
    const kids = Array.from({ length: 101 }, (_, i) => `k${String(i).padStart(3, "0")}`);
    const curves = kids.map((kid) => ecKey(`ec-${kid}`));
    const start = nextKeyState(EMPTY_KEY_STATE, [answered("a", 1, "z", ...curves)], rules(1));
    assert.deepEqual(start.overLimit, ["ec-k100"]);
    assert.equal(start.state.keys.length, 101);

    const { state, overLimit } = nextKeyState(start.state, [answered("a", 2, ...kids)], rules(2));
    assert.deepEqual(overLimit, ["k099", "k100"]);
    assert.ok(kidsOf(state).includes("z"));
    assert.equal(state.keys.filter(({ jwk }) => jwk.kty === "RSA").length, 100);

    const retiring = nextKeyState(start.state, [answered("a", 2, ...kids)], rules(2, ["k000"]));
    assert.deepEqual(retiring.overLimit, ["k100"]);
  });
});
