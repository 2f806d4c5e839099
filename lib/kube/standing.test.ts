import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  afterFailedList,
  afterList,
  afterWatch,
  FRESH,
  MAX_FRUITLESS,
  PROOF_MS,
  SHORT_WATCH_MS,
  type WatchReport,
} from "./standing.ts";

const troubled = { failures: 4, fruitless: 1, expiries: 2 };

describe("afterList", () => {
  it("forgets what lists and resourceVersions are to blame for, and keeps the patience", () => {
    assert.deepEqual(afterList(troubled), { failures: 4, fruitless: 0, expiries: 0 });
  });
});

describe("afterFailedList", () => {
  for (const [kind, expiries] of [
    ["gone", 3],
    ["answered", 2],
    ["unreachable", 2],
  ] as const) {
    it(`counts one that is ${kind}`, () => {
      assert.deepEqual(afterFailedList(troubled, kind), { ...troubled, failures: 5, expiries });
    });
  }
});

describe("afterWatch", () => {
  const opened = { reached: true, news: 0, livedMs: 0, end: "ended" } satisfies WatchReport;
  for (const [name, report, failures, fruitless, failed, relist] of [
    ["ended with news", { ...opened, news: 1, livedMs: SHORT_WATCH_MS }, 0, 0, false, false],
    ["ended at once with news", { ...opened, news: 1, livedMs: 999 }, 1, 0, true, false],
    ["ended without news", { ...opened, livedMs: PROOF_MS }, 0, 0, false, false],
    ["ended without news too soon", { ...opened, livedMs: PROOF_MS - 1 }, 4, 2, false, false],
    ["ended at once", { ...opened, livedMs: 999 }, 5, 2, true, false],
    ["fell silent", { ...opened, livedMs: 180_000, end: "silent" }, 1, 2, true, false],
    [
      "fell silent after news",
      { ...opened, news: 3, livedMs: 180_000, end: "silent" },
      1,
      0,
      true,
      false,
    ],
    ["was refused", { ...opened, end: "answered" }, 5, 2, true, false],
    ["was gone", { ...opened, end: "gone" }, 5, 2, true, true],
    ["was gone after news", { ...opened, news: 1, end: "gone" }, 1, 0, true, true],
    ["broke off soon", { ...opened, end: "unreachable" }, 5, 2, true, false],
    ["broke off late", { ...opened, livedMs: PROOF_MS, end: "unreachable" }, 1, 0, true, false],
    ["was not reached", { ...opened, reached: false, end: "unreachable" }, 5, 1, true, false],
  ] as const) {
    it(`judges a watch that ${name}`, () => {
      assert.deepEqual(afterWatch(troubled, report), {
        standing: { failures, fruitless, expiries: 2 },
        failed,
        relist,
      });
    });
  }

  it("lists anew after the last fruitless watch that it bears, not before", () => {
    const report = { ...opened, end: "answered" } as const;
    for (const [fruitless, relist] of [
      [MAX_FRUITLESS - 2, false],
      [MAX_FRUITLESS - 1, true],
    ] as const) {
      assert.equal(afterWatch({ ...FRESH, fruitless }, report).relist, relist);
    }
  });
});
