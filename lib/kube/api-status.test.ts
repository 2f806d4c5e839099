import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isPatchOutdated, refusalText } from "./api-status.ts";

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

describe("isPatchOutdated", () => {
  const causes = [{ field: "webhooks[0].name", message: "Required value" }];
  for (const [name, code, details, expected] of [
    ["a patch that does not apply", 422, {}, true],
    ["one without details", 422, undefined, true],
    ["an invalid object", 422, { kind: "Pod", causes }, false],
    ["a conflict", 409, {}, false],
  ] as const) {
    it(`is ${expected} for ${name}`, () => {
      assert.equal(isPatchOutdated(code, { kind: "Status", code, details }), expected);
    });
  }
});
