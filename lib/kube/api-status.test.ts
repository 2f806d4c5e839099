import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { refusalText } from "./api-status.ts";

describe("refusalText", () => {
  for (const [name, body, text] of [
    ["a message", { kind: "Status", message: "not for you", reason: "Forbidden" }, ": not for you"],
    ["a reason only", { reason: "Forbidden" }, ": Forbidden"],
    ["neither", {}, ""],
    ["no Status", "<html>secret</html>", ""],
    ["a Status of another shape", { message: { secret: 1 } }, ""],
    ["a long message", { message: "x".repeat(301) }, `: ${"x".repeat(300)}`],
  ] as const) {
    it(`words an answer with ${name}`, () => {
      assert.equal(refusalText(403, body), `answered 403${text}`);
    });
  }
});
