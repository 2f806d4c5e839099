import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CertificateSettings } from "./certificate-state.ts";
import { afterStep } from "./make-certificates.ts";
import { parseSecretData, secretDataOf } from "./secret-data.ts";

const START_MS = Date.UTC(2026, 0, 1);
const settings: CertificateSettings = {
  names: ["webhook"],
  certificateLifetimeMs: 10_000,
  renewBeforeMs: 3000,
  caLifetimeMs: 30_000,
  caOverlapMs: 1000,
};
const occasion = { clock: { now: () => START_MS }, settings };
const fresh = await afterStep("create", undefined, occasion);
const added = await afterStep("add-ca", fresh, occasion);
const noted = await afterStep("note-trust", added, occasion);
const switched = await afterStep("switch-ca", noted, occasion);

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("the data of the Secret", () => {
  for (const [name, state] of Object.entries({ fresh, added, noted, switched })) {
    it(`holds a state that is ${name}`, () => {
      const read = parseSecretData(secretDataOf(state));
      // By its text, which leaves out what is undefined.
      assert.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(state)));
    });
  }

  it("has what a Secret of the type kubernetes.io/tls must have", () => {
    const { "tls.crt": cert, "tls.key": key } = secretDataOf(fresh);
    assert.deepEqual([cert, key], [base64(fresh.serving.cert), base64(fresh.serving.key)]);
  });

  const whole = secretDataOf(switched);
  const other = secretDataOf(fresh);
  for (const [name, change, message] of [
    ["is empty", () => ({}), /rotation\.json is missing/],
    ["lacks the serving key", () => without("tls.key"), /tls\.key is missing/],
    ["lacks the CA", () => without("signing-ca.crt"), /signing-ca\.crt is missing/],
    ["lacks the bundle", () => without("ca.crt"), /ca\.crt is missing/],
    ["has no base64", () => ({ ...whole, "tls.crt": "%%%" }), /tls\.crt/],
    [
      "has text in place of PEM",
      () => ({ ...whole, "tls.crt": base64("hello") }),
      /tls\.crt, tls\.key/,
    ],
    [
      "is cut off",
      () => ({ ...whole, "tls.key": (whole["tls.key"] ?? "").slice(0, 400) }),
      /tls\.crt, tls\.key/,
    ],
    [
      "has the key of another",
      () => ({ ...whole, "tls.key": other["tls.key"] ?? "" }),
      /not the one of the private key/,
    ],
    [
      "has a serving pair of another CA",
      () => ({ ...whole, "tls.crt": other["tls.crt"] ?? "", "tls.key": other["tls.key"] ?? "" }),
      /not from the CA/,
    ],
    [
      "has a leaf for a CA",
      () => ({ ...whole, "old-ca.crt": whole["tls.crt"] ?? "" }),
      /not one of a CA/,
    ],
    [
      "has garbage for an old CA",
      () => ({ ...whole, "old-ca.crt": base64("x") }),
      /cannot be read/,
    ],
    [
      "has another bundle",
      () => ({ ...whole, "ca.crt": other["ca.crt"] ?? "" }),
      /ca\.crt is not made of/,
    ],
    [
      "has garbage for times",
      () => ({ ...whole, "rotation.json": base64("{") }),
      /rotation\.json cannot be read/,
    ],
    [
      "has times that are texts",
      () => ({ ...whole, "rotation.json": base64('{"oldReplacedMs":"1"}') }),
      /rotation\.json/,
    ],
  ] as const) {
    it(`is refused when it ${name}, without a word of what it holds`, () => {
      assert.throws(
        () => parseSecretData(change()),
        (err: Error & { code?: string }) => {
          assert.equal(err.code, "CERTIFICATE_INVALID");
          assert.match(err.message, message);
          assert.doesNotMatch(err.message, /BEGIN|MII|hello/);
          return true;
        },
      );
    });
  }

  function without(key: string): Record<string, string> {
    return Object.fromEntries(Object.entries(whole).filter(([name]) => name !== key));
  }
});
