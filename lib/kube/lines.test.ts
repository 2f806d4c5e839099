import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { linesOf } from "./lines.ts";

describe("linesOf", () => {
  for (const [name, chunks, lines] of [
    ["nothing", [], []],
    ["one line in one chunk", ["ab\n"], ["ab"]],
    ["several lines in one chunk", ["a\nb\nc\n"], ["a", "b", "c"]],
    ["a line over three chunks", ["a", "b", "c\n"], ["abc"]],
    ["a line end that opens a chunk", ["a", "\nb\n"], ["a", "b"]],
    ["an unfinished last line", ["a\nb"], ["a", "b"]],
    ["empty lines", ["\n\na\n\n"], ["a"]],
    ["carriage returns", ["a\r\nb\r\n"], ["a", "b"]],
  ] as const) {
    it(`reads ${name}`, async () => {
      assert.deepEqual(await read(chunks.map((text) => Buffer.from(text))), lines);
    });
  }

  it("reads the same lines wherever the bytes are cut", async () => {
    const text = fc.array(
      fc.string({ unit: "grapheme", minLength: 1 }).filter((line) => !/[\r\n]/.test(line)),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat({ max: 40 })), async (lines, sizes) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
        const chunks: Buffer[] = [];
        let start = 0;
        for (const size of sizes) {
          chunks.push(bytes.subarray(start, start + size));
          start += size;
        }
        chunks.push(bytes.subarray(start));
        assert.deepEqual(await read(chunks), lines);
      }),
    );
  });

  for (const [length, accepted] of [
    [10, true],
    [11, false],
  ] as const) {
    it(`${accepted ? "takes" : "refuses"} a line of ${length} bytes where 10 are allowed`, async () => {
      const chunks = [Buffer.alloc(length - 3, "a"), Buffer.from("bcd\n")];
      if (accepted) assert.equal((await read(chunks, 10)).length, 1);
      else await assert.rejects(read(chunks, 10), /a line is longer than 10 bytes/);
    });
  }

  it("bounds a line that never ends", async () => {
    await assert.rejects(
      read(
        Array.from({ length: 4 }, () => Buffer.from("aaa")),
        10,
      ),
      /longer/,
    );
  });
});

async function read(chunks: readonly Uint8Array[], maxLineBytes = 1000): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of linesOf(streamOf(chunks), maxLineBytes)) lines.push(line);
  return lines;
}

async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
