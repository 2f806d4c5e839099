import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { PublicJwk } from "./jwk.ts";
import {
  combineKeyStates,
  EMPTY_KEY_STATE,
  MAX_VIEW_GAP_MS,
  nextKeyState,
  type KeyState,
  type MergeRules,
  type SourceView,
} from "./merge.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const RETIRE_AFTER = 26 * HOUR;

const rsaKey = (kid: string, n = `n-${kid}`): PublicJwk => ({
  use: "sig",
  kty: "RSA",
  kid,
  alg: "RS256",
  n,
  e: "AQAB",
});
const ecKey = (kid: string): PublicJwk => ({
  use: "sig",
  kty: "EC",
  kid,
  alg: "ES256",
  crv: "P-256",
  x: `x-${kid}`,
  y: `y-${kid}`,
});

const rules = (nowMs: number, retireKids: readonly string[] = []): MergeRules => ({
  nowMs,
  retireAfterMs: RETIRE_AFTER,
  retireKids: new Set(retireKids),
});
const answered = (
  id: string,
  atMs: number,
  ...keys: readonly (PublicJwk | string)[]
): SourceView => ({
  id,
  outcome: "answered",
  keys: keys.map((key) => (typeof key === "string" ? rsaKey(key) : key)),
  atMs,
});
const failed = (id: string): SourceView => ({ id, outcome: "failed" });
const pending = (id: string): SourceView => ({ id, outcome: "pending" });
const absencesOf = ({ keys }: KeyState) => keys.map(({ absentSinceMs }) => absentSinceMs);
const kidsOf = ({ keys }: KeyState) => keys.map(({ jwk }) => jwk.kid);

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
    const without = (atMs: number) => [answered("a", atMs, "new")];

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

// A long time in which something is nearly always absent somewhere, so that waits do end.
const history = (view: (atMs: number) => fc.Arbitrary<readonly SourceView[]>) =>
  fc
    .array(fc.integer({ min: HOUR, max: 2 * HOUR + MINUTE }), { minLength: 30, maxLength: 50 })
    .chain((waits) => {
      let nowMs = 0;
      return fc.tuple(
        ...waits.map((wait) => {
          nowMs += wait;
          return fc.record({ nowMs: fc.constant(nowMs), view: view(nowMs) });
        }),
      );
    });

const mostly = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 40, arbitrary: usual }, { weight: 1, arbitrary: rare });

const kidsServed = (view: readonly SourceView[]) =>
  new Set(view.flatMap((s) => (s.outcome === "answered" ? s.keys.map((k) => k.kid) : [])));

const isComplete = (v: readonly SourceView[]) =>
  v.every((s) => s.outcome === "answered" && s.keys.length > 0);

describe("nextKeyState, whatever happens", () => {
  const kid = fc.constantFrom("a", "b", "c", "d");
  const key = fc
    .record({ kid, n: fc.constantFrom("1", "1", "1", "2") })
    .map((k) => rsaKey(k.kid, k.n));
  const source = (id: string, atMs: number): fc.Arbitrary<SourceView> =>
    fc.oneof(
      fc.constant(pending(id)),
      fc.constant(failed(id)),
      fc.array(key, { maxLength: 4 }).map((keys) => answered(id, atMs, ...keys)),
    );
  const viewAt = (atMs: number) =>
    fc.tuple(source("x", atMs), source("y", atMs), source("z", atMs));
  const steadyView = (atMs: number): fc.Arbitrary<readonly SourceView[]> =>
    fc.tuple(
      mostly<SourceView>(fc.constant(answered("x", atMs, "a")), source("x", atMs)),
      mostly<SourceView>(fc.constant(answered("y", atMs, "a")), source("y", atMs)),
    );
  it("loses a kid only after a whole wait in which every source answered without it", () => {
    let lostKids = 0;
    fc.assert(
      fc.property(history(steadyView), (steps) => {
        const first = [answered("x", 0, "a", "b"), answered("y", 0, "c")];
        let state = nextKeyState(EMPTY_KEY_STATE, first, rules(0)).state;
        for (const [i, { nowMs, view }] of steps.entries()) {
          const before = kidsOf(state);
          state = nextKeyState(state, view, rules(nowMs)).state;
          assert.ok(state.keys.length > 0, "became empty");
          for (const lost of before.filter((k) => !kidsOf(state).includes(k))) {
            lostKids++;
            const waited = steps.slice(0, i + 1).filter((s) => nowMs - s.nowMs <= RETIRE_AFTER);
            assert.ok(waited.every((step) => !kidsServed(step.view).has(lost)));
            assert.ok(nowMs >= RETIRE_AFTER);
            // Complete at this moment, and never unwatched for longer than the allowed gap.
            const looks = waited.filter((s) => isComplete(s.view)).map((s) => s.nowMs);
            assert.equal(looks.at(-1), nowMs);
            for (const [j, at] of looks.entries()) {
              assert.ok(at - (looks[j - 1] ?? at) <= MAX_VIEW_GAP_MS);
            }
          }
        }
      }),
    );
    assert.ok(lostKids > 0, "no history in which a key was lost was tried");
  });

  it("never changes the key of a published kid", () => {
    fc.assert(
      fc.property(history(viewAt), (steps) => {
        let state = EMPTY_KEY_STATE;
        for (const { nowMs, view } of steps) {
          const next = nextKeyState(state, view, rules(nowMs)).state;
          for (const { jwk } of state.keys) {
            const now = next.keys.find((k) => k.jwk.kid === jwk.kid);
            if (now !== undefined) assert.deepEqual(now.jwk, jwk);
          }
          state = next;
        }
      }),
    );
  });

  it("does not depend on the order of sources or of their keys", () => {
    const shuffled = viewAt(HOUR).chain((view) =>
      fc.tuple(fc.constant(view), fc.shuffledSubarray(view, { minLength: 3 }), fc.boolean()),
    );
    fc.assert(
      fc.property(viewAt(1), shuffled, (first, [view, other, reversed]) => {
        const start = nextKeyState(EMPTY_KEY_STATE, first, rules(1)).state;
        const reordered = other.map((s) =>
          s.outcome === "answered" && reversed ? { ...s, keys: s.keys.toReversed() } : s,
        );
        assert.deepEqual(
          nextKeyState(start, reordered, rules(HOUR)),
          nextKeyState(start, view, rules(HOUR)),
        );
      }),
    );
  });

  it("changes nothing when the same view is merged again", () => {
    fc.assert(
      fc.property(viewAt(1), viewAt(HOUR), (first, view) => {
        const start = nextKeyState(EMPTY_KEY_STATE, first, rules(1)).state;
        const { state } = nextKeyState(start, view, rules(HOUR));
        const again = nextKeyState(state, view, rules(HOUR));
        assert.deepEqual(again.state, state);
        assert.deepEqual([again.added, again.retired], [[], []]);
      }),
    );
  });
});

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
