import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { jwksOfPem } from "./jwk.ts";
import { formatKeyState, parseKeyState } from "./key-state-text.ts";
import type { KeyState } from "./merge.ts";

const pem = ["P-256", "P-384"]
  .map((namedCurve) => generateKeyPairSync("ec", { namedCurve }).publicKey)
  .map((key) => key.export({ type: "spki", format: "pem" }))
  .join("");
const [first, second] = jwksOfPem(pem).toSorted((a, b) => (a.kid < b.kid ? -1 : 1));
assert.ok(first && second);

const state: KeyState = {
  keys: [
    { jwk: first, firstSeenMs: 1000, lastSeenMs: 2000, absentSinceMs: undefined },
    { jwk: second, firstSeenMs: 1000, lastSeenMs: 1500, absentSinceMs: 1800 },
  ],
  lastCompleteMs: 2000,
};
const text = formatKeyState(state);

describe("key state as text", () => {
  it("comes back as it was", () => {
    assert.deepEqual(parseKeyState(text), state);
    assert.equal(formatKeyState(parseKeyState(text)), text);
  });

  it("comes back sorted and with every kid once", () => {
    const [a, b] = state.keys;
    assert.ok(a && b);
    const messy = formatKeyState({ ...state, keys: [b, a, b] });
    assert.deepEqual(parseKeyState(messy), state);
  });

  it("loses members that must not be published", () => {
    const tampered = text.replace('"use": "sig"', '"use": "sig", "d": "AA", "ext": true');
    assert.notEqual(tampered, text);
    assert.deepEqual(parseKeyState(tampered), state);
  });

  for (const [name, bad] of [
    ["nothing", ""],
    ["half a file", text.slice(0, text.length / 2)],
    ["zeros, as after a power cut", "\0".repeat(200)],
    ["another version", text.replace('"version": 1', '"version": 2')],
    ["no keys", '{"version": 1, "keys": []}'],
    ["a list", "[]"],
    ["a date that is none", text.replace("1970-01-01T00:00:01.000Z", "yesterday")],
    ["a key of a type that is not published", text.replace('"P-256"', '"secp256k1"')],
    ["a key with another coordinate", text.replace(/"y": ".{5}/, '"y": "AAAAA')],
  ] as const) {
    it(`refuses ${name}`, () => {
      assert.notEqual(bad, text);
      assert.throws(() => parseKeyState(bad), { code: "STORE_INVALID" });
    });
  }
});
