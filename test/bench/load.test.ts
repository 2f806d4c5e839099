import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hasShape, quantile, wholeAnswerOf } from "./load.ts";

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

describe("hasShape", () => {
  const answer = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello";
  const shape = { length: answer.length, bodyStart: answer.length - 5 };

  for (const [name, text, isWhole] of [
    ["the same answer", answer, true],
    ["another body of that length", answer.replace("hello", "other"), true],
    ["a part of one", answer.slice(0, -1), false],
    ["another status", answer.replace("200 OK", "503 No"), false],
    [
      "a head that is longer and a body that is shorter",
      answer.replace("x", "xx").slice(0, -1),
      false,
    ],
  ] as const) {
    it(`${isWhole ? "takes" : "does not take"} ${name} for whole`, () => {
      assert.equal(hasShape(Buffer.from(text), shape), isWhole);
    });
  }

  it("takes nothing for whole before there was an answer", () => {
    assert.equal(hasShape(Buffer.alloc(0), { length: 0, bodyStart: 0 }), false);
  });
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
