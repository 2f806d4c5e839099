import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { TOKEN_KEY_BYTES } from "./session-token.ts";
import { createSessionTokens } from "./session-tokens.ts";

const key = Buffer.alloc(TOKEN_KEY_BYTES, 7);
const ADDRESS = "10.1.0.2";

describe("session tokens", () => {
  it("tell how long they hold, rounded up, also when they were proven before", () => {
    const clock = createMovedClock();
    const tokens = createSessionTokens(key, clock);
    const token = tokens.issue(ADDRESS, 300);
    const seen = [0, 1, 999, 298_000, 1, 998, 1, 1].map((ms) => {
      clock.advance(ms);
      return tokens.remainingSeconds(token, ADDRESS);
    });
    assert.deepEqual(seen, [300, 300, 299, 1, 1, 1, undefined, undefined]);
  });

  it("hold for their address alone, also when they were proven for it", () => {
    const tokens = createSessionTokens(key, createMovedClock());
    const token = tokens.issue(ADDRESS, 300);
    assert.equal(tokens.remainingSeconds(token, ADDRESS), 300);
    assert.equal(tokens.remainingSeconds(token, "10.1.0.3"), undefined);
    assert.equal(tokens.remainingSeconds(`${token} `, ADDRESS), undefined);
  });

  it("hold after a restart with the same key", () => {
    const clock = createMovedClock();
    const token = createSessionTokens(key, clock).issue(ADDRESS, 300);
    assert.equal(createSessionTokens(key, clock).remainingSeconds(token, ADDRESS), 300);
    const other = createSessionTokens(Buffer.alloc(TOKEN_KEY_BYTES, 8), clock);
    assert.equal(other.remainingSeconds(token, ADDRESS), undefined);
  });

  it("are never twice the same", () => {
    const tokens = createSessionTokens(key, createMovedClock());
    const made = Array.from({ length: 2000 }, () => tokens.issue(ADDRESS, 300));
    assert.equal(new Set(made).size, made.length);
  });
});
