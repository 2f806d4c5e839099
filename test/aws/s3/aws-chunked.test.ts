import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeAwsChunked } from "./aws-chunked.ts";

describe("decodeAwsChunked", () => {
  it("joins chunks and reads trailers", () => {
    const encoded =
      "5\r\nhello\r\na;ext=1\r\n\r\n, world!\r\n0\r\nX-Amz-Checksum-Crc32:AAAA\r\n\r\n";
    const decoded = decodeAwsChunked(Buffer.from(encoded));
    assert.equal(decoded?.body.toString(), "hello\r\n, world!");
    assert.deepEqual(decoded?.trailers, new Map([["x-amz-checksum-crc32", "AAAA"]]));
  });

  for (const [name, encoded] of [
    ["nothing", ""],
    ["no size", "hello\r\n"],
    ["a chunk that is cut off", "5\r\nhel"],
    ["no last chunk", "5\r\nhello\r\n"],
    ["a chunk longer than its size", "5\r\nhello!\r\n0\r\n\r\n"],
  ] as const) {
    it(`${name} is none`, () => {
      assert.equal(decodeAwsChunked(Buffer.from(encoded)), undefined);
    });
  }
});
