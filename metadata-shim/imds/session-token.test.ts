import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assert as forAll, integer, ipV4, ipV6, oneof, property, uint8Array } from "fast-check";
import {
  issueSessionToken,
  parseTokenTtl,
  remainingTokenSeconds,
  TOKEN_KEY_BYTES,
  TOKEN_NONCE_BYTES,
} from "./session-token.ts";

const key = Buffer.alloc(TOKEN_KEY_BYTES, 7);
const nowMs = Date.UTC(2026, 0, 1);
const scope = { key, address: "10.1.0.2", nowMs };
const nonce = Buffer.alloc(TOKEN_NONCE_BYTES, 1);
const token = issueSessionToken(scope, { ttlSeconds: 300, nonce });

describe("a session token", () => {
  it("looks as EC2's do: 56 characters that a header may hold, from AQAAA to ==", () => {
    assert.match(token, /^AQAAA[\w-]{49}==$/);
  });

  it("tells how long it still holds, rounded up, and ends when its time is over", () => {
    assert.deepEqual(
      [0, 1, 1000, 299_000, 299_001, 299_999, 300_000, 300_001].map((ms) =>
        remainingTokenSeconds(token, { ...scope, nowMs: nowMs + ms }),
      ),
      [300, 300, 299, 1, 1, 1, undefined, undefined],
    );
  });

  it("differs from another of the same millisecond by its nonce, and both hold", () => {
    const other = issueSessionToken(scope, { ttlSeconds: 300, nonce: Buffer.alloc(6, 2) });
    assert.notEqual(other, token);
    assert.equal(remainingTokenSeconds(other, scope), 300);
  });

  it("holds for its address and under its key only", () => {
    assert.equal(remainingTokenSeconds(token, { ...scope, address: "10.1.0.3" }), undefined);
    assert.equal(remainingTokenSeconds(token, { ...scope, address: "10.1.0.22" }), undefined);
    const otherKey = Buffer.alloc(TOKEN_KEY_BYTES, 8);
    assert.equal(remainingTokenSeconds(token, { ...scope, key: otherKey }), undefined);
    assert.equal(remainingTokenSeconds(token, { ...scope, key: Buffer.from(key) }), 300);
  });

  it("does not hold with any of its characters changed", () => {
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=";
    for (let i = 0; i < token.length; i += 1) {
      for (const letter of letters) {
        const changed = token.slice(0, i) + letter + token.slice(i + 1);
        const held = remainingTokenSeconds(changed, scope);
        assert.equal(held, changed === token ? 300 : undefined, `${i} ${letter}`);
      }
    }
  });

  it("is none of other texts, whatever their length", () => {
    const others = ["", "INVALID", token.slice(1), `${token}=`, `${token}A`, "A".repeat(10_000)];
    for (const other of others) assert.equal(remainingTokenSeconds(other, scope), undefined);
  });

  it("is read back as it was made, for every life, address and nonce", () => {
    const holds = property(
      integer({ min: 1, max: 21_600 }),
      oneof(ipV4(), ipV6()),
      uint8Array({ minLength: TOKEN_NONCE_BYTES, maxLength: TOKEN_NONCE_BYTES }),
      integer({ min: 0, max: 8_000_000_000_000 }),
      (ttlSeconds, address, bytes, atMs) => {
        const at = { key, address, nowMs: atMs };
        const made = issueSessionToken(at, { ttlSeconds, nonce: Buffer.from(bytes) });
        assert.equal(remainingTokenSeconds(made, at), ttlSeconds);
      },
    );
    forAll(holds);
  });
});

describe("parseTokenTtl", () => {
  const CASES: readonly (readonly [header: string | undefined, seconds: number | undefined])[] = [
    ["1", 1],
    ["300", 300],
    ["21600", 21_600],
    [undefined, undefined],
    ["", undefined],
    ["0", undefined],
    ["21601", undefined],
    ["-1", undefined],
    ["+60", undefined],
    [" 60", undefined],
    ["abc", undefined],
    ["1.5", undefined],
    ["1e3", undefined],
    ["0x10", undefined],
    ["60,60", undefined],
    ["60, 60", undefined],
    ["99999999999999999999", undefined],
  ];
  for (const [header, seconds] of CASES) {
    it(JSON.stringify(header) ?? "none", () => assert.equal(parseTokenTtl(header), seconds));
  }
});
