import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { annotatedAtMs } from "./annotation-time.ts";

const KEY = "eks.amazonaws.com/role-arn";
const owner = (time: string | undefined, ...keys: readonly string[]): object => ({
  manager: "kubectl",
  time,
  fieldsV1: {
    "f:metadata": { "f:annotations": Object.fromEntries(keys.map((key) => [`f:${key}`, {}])) },
  },
});
const at = (time: string): number => Date.parse(time);

describe("annotatedAtMs", () => {
  const early = "2026-01-01T10:00:00Z";
  const late = "2026-01-02T10:00:00Z";
  const cases: Readonly<Record<string, readonly [unknown, number | undefined]>> = {
    "the time of the owner": [[owner(early, "other"), owner(late, KEY, "more")], at(late)],
    "the first of two owners": [[owner(late, KEY), owner(early, KEY)], at(early)],
    "nothing without an owner": [[owner(early, "other")], undefined],
    "nothing without a time": [[owner(undefined, KEY)], undefined],
    "nothing for a time that is none": [[owner("soon", KEY)], undefined],
    "nothing without managed fields": [undefined, undefined],
    "nothing for managed fields of another shape": ["x", undefined],
  };
  for (const [name, [managedFields, expected]] of Object.entries(cases)) {
    it(name, () => assert.equal(annotatedAtMs({ metadata: { managedFields } }, KEY), expected));
  }
});
