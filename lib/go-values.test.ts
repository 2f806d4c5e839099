import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseGoBoolean, parseGoDurationMs, parseGoInteger } from "./go-values.ts";

describe("parseGoBoolean", () => {
  for (const text of ["1", "t", "T", "TRUE", "true", "True"]) {
    it(`reads ${text} as true`, () => assert.equal(parseGoBoolean(text), true));
  }
  for (const text of ["0", "f", "F", "FALSE", "false", "False"]) {
    it(`reads ${text} as false`, () => assert.equal(parseGoBoolean(text), false));
  }
  for (const text of ["", "yes", "tRUE", " true", "true ", "2", "on"]) {
    it(`does not read ${JSON.stringify(text)}`, () =>
      assert.equal(parseGoBoolean(text), undefined));
  }
});

describe("parseGoInteger", () => {
  for (const [text, number] of [
    ["3600", 3600],
    ["+3600", 3600],
    ["-5", -5],
    ["007", 7],
    ["000", 0],
    [`-${"0".repeat(40)}7`, -7],
    ["9".repeat(40), undefined],
    ["9223372036854775807", Number(9223372036854775807n)],
    ["9223372036854775808", undefined],
    ["-9223372036854775808", Number(-9223372036854775808n)],
    ["-9223372036854775809", undefined],
    ["", undefined],
    ["+", undefined],
    [" 3600", undefined],
    ["3600 ", undefined],
    ["1e3", undefined],
    ["1_000", undefined],
    ["3600s", undefined],
    ["0x10", undefined],
    ["--1", undefined],
    ["abc", undefined],
  ] as const) {
    it(`reads ${JSON.stringify(text)} as ${number}`, () =>
      assert.equal(parseGoInteger(text), number));
  }
});

describe("parseGoDurationMs", () => {
  for (const [text, ms] of [
    ["0", 0],
    ["1s", 1000],
    ["100ms", 100],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["-1s", -1000],
    ["+1s", 1000],
    ["500us", 0.5],
    ["", undefined],
    ["1", undefined],
    ["1d", undefined],
    ["1s ", undefined],
    [".s", undefined],
    ["-", undefined],
  ] as const) {
    it(`reads ${JSON.stringify(text)} as ${ms}`, () => assert.equal(parseGoDurationMs(text), ms));
  }
});
