import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import {
  answered,
  failed,
  HOUR,
  kidsOf,
  MINUTE,
  pending,
  RETIRE_AFTER,
  rsaKey,
  rules,
} from "../test/fakes/key-views.ts";
import { EMPTY_KEY_STATE, MAX_VIEW_GAP_MS, nextKeyState, type SourceView } from "./merge.ts";

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
