import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { isLoopback, normaliseAddress } from "./address.ts";

describe("normaliseAddress", () => {
  const cases: readonly (readonly [text: string, address: string | undefined])[] = [
    ["10.1.0.2", "10.1.0.2"],
    ["::ffff:10.1.0.2", "10.1.0.2"],
    ["::FFFF:0a01:0002", "10.1.0.2"],
    ["fd00:0:0:0::2", "fd00::2"],
    ["FD00::0002", "fd00::2"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["fe80::1%eth0", "fe80::1"],
    ["", undefined],
    ["a:", undefined],
    ["localhost", undefined],
    ["[fd00::2]", undefined],
    ["10.1.0.2:80", undefined],
    ["10.1.2", undefined],
    ["0x0a010002", undefined],
    ["10.1.0.256", undefined],
  ];
  for (const [text, address] of cases) {
    it(`of ${JSON.stringify(text)} is ${address}`, () => {
      assert.equal(normaliseAddress(text), address);
    });
  }

  it("is the same of what it gave", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const once = normaliseAddress(text);
        assert.ok(once !== undefined);
        assert.equal(normaliseAddress(once), once);
      }),
    );
  });
});

describe("isLoopback", () => {
  for (const address of ["127.0.0.1", "127.9.9.9", "::1"]) {
    it(`is true of ${address}`, () => assert.equal(isLoopback(address), true));
  }
  for (const address of ["10.1.0.2", "fd00::1", "169.254.169.254"]) {
    it(`is false of ${address}`, () => assert.equal(isLoopback(address), false));
  }
});
