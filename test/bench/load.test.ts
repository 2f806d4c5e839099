import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { quantile, wholeAnswerOf } from "./load.ts";

describe("wholeAnswerOf", () => {
  const answer = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello";

  it("gives the body once it is there as a whole", () => {
    for (let length = 0; length < answer.length; length += 1) {
      assert.equal(wholeAnswerOf(Buffer.from(answer.slice(0, length))), undefined, `${length}`);
    }
    assert.equal(wholeAnswerOf(Buffer.from(answer))?.toString(), "hello");
  });

  for (const [name, text, problem] of [
    ["another status", answer.replace("200 OK", "500 No"), /Expected 200/],
    ["no length", answer.replace("Content-Length", "X"), /Expected 200/],
    ["more than one answer", `${answer}H`, /1 bytes too many/],
  ] as const) {
    it(`throws on ${name}`, () => {
      assert.throws(() => wholeAnswerOf(Buffer.from(text)), problem);
    });
  }
});

describe("quantile", () => {
  for (const [share, value] of [
    [0.5, 50],
    [0.99, 99],
    [1, 100],
    [0, 1],
  ] as const) {
    it(`${share} of 1 to 100 is ${value}`, () => {
      const values = Array.from({ length: 100 }, (_, i) => i + 1);
      assert.equal(quantile(values, share), value);
    });
  }
});
