import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { assert as forAll, integer, ipV4, ipV6, oneof, property, stringMatching } from "fast-check";
import {
  issueSessionToken,
  parseTokenTtl,
  tokenEndMs,
  TOKEN_KEY_BYTES,
  TOKEN_NONCE_CHARACTERS,
} from "./session-token.ts";

const key = Buffer.alloc(TOKEN_KEY_BYTES, 7).toString("base64url");
const nowMs = Date.UTC(2026, 0, 1);
const scope = { key, address: "10.1.0.2", nowMs };
const nonce = "N".repeat(TOKEN_NONCE_CHARACTERS);
const token = issueSessionToken(scope, { ttlSeconds: 300, nonce });
const endMs = nowMs + 300_000;

describe("a session token", () => {
  it("looks as EC2's do: 56 characters that a header may hold, from AQAAA to ==", () => {
    assert.match(token, /^AQAAA[\w-]{49}==$/);
  });

  it("tells when it ends", () => assert.equal(tokenEndMs(token, scope), endMs));

  it("differs from another of the same millisecond by its nonce, and both hold", () => {
    const other = issueSessionToken(scope, {
      ttlSeconds: 300,
      nonce: "O".repeat(TOKEN_NONCE_CHARACTERS),
    });
    assert.notEqual(other, token);
    assert.equal(tokenEndMs(other, scope), endMs);
  });

  it("holds for its address and under its key only", () => {
    assert.equal(tokenEndMs(token, { ...scope, address: "10.1.0.3" }), undefined);
    assert.equal(tokenEndMs(token, { ...scope, address: "10.1.0.22" }), undefined);
    const otherKey = Buffer.alloc(TOKEN_KEY_BYTES, 8).toString("base64url");
    assert.equal(tokenEndMs(token, { ...scope, key: otherKey }), undefined);
  });

  it("carries 168 bits of SHA3-256 over key, claims and address", () => {
    const claims = token.slice(0, 26);
    const mac = createHash("sha3-256").update(key).update(claims).update(scope.address).digest();
    assert.equal(token.slice(26, -2), mac.toString("base64url").slice(0, 28));
  });

  it("does not hold with any of its characters changed", () => {
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=";
    for (let i = 0; i < token.length; i += 1) {
      for (const letter of letters) {
        const changed = token.slice(0, i) + letter + token.slice(i + 1);
        const held = tokenEndMs(changed, scope);
        assert.equal(held, changed === token ? endMs : undefined, `${i} ${letter}`);
      }
    }
  });

  it("is none of other texts, whatever their length", () => {
    const others = ["", "INVALID", token.slice(1), `${token}=`, `${token}A`, "A".repeat(10_000)];
    for (const other of others) assert.equal(tokenEndMs(other, scope), undefined);
  });

  it("is read back as it was made, for every life, address and nonce", () => {
    const holds = property(
      integer({ min: 1, max: 21_600 }),
      oneof(ipV4(), ipV6()),
      stringMatching(/^[\w-]{8}$/),
      integer({ min: 0, max: 8_000_000_000_000 }),
      (ttlSeconds, address, anyNonce, atMs) => {
        const at = { key, address, nowMs: atMs };
        const made = issueSessionToken(at, { ttlSeconds, nonce: anyNonce });
        assert.equal(tokenEndMs(made, at), atMs + ttlSeconds * 1000);
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
