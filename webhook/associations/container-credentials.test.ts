import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AppError } from "../../lib/errors.ts";
import { parseContainerCredentials } from "./container-credentials.ts";

const good = { namespace: "team", serviceAccount: "app" };

describe("parseContainerCredentials", () => {
  for (const [name, text, wanted] of [
    [
      "two identities",
      { identities: [good, { ...good, namespace: "other" }] },
      ["team/app", "other/app"],
    ],
    ["one that is named twice", { identities: [good, good] }, ["team/app"]],
    ["any case", { IDENTITIES: [{ Namespace: "team", serviceaccount: "app" }] }, ["team/app"]],
    ["unknown fields", { x: 1, identities: [{ ...good, roleArn: 5 }] }, ["team/app"]],
    ["a star as itself", { identities: [{ ...good, namespace: "*" }] }, ["*/app"]],
    ["no identities", { identities: [] }, []],
    ["identities that are null", { identities: null }, []],
    ["an object without them", {}, []],
  ] as const) {
    it(`reads ${name}`, () => {
      assert.deepEqual([...parseContainerCredentials(JSON.stringify(text))], wanted);
    });
  }

  for (const text of ["", " \n"]) {
    it(`takes ${JSON.stringify(text)} for nobody`, () => {
      assert.deepEqual([...parseContainerCredentials(text)], []);
    });
  }

  for (const [name, value, wanted] of [
    ["identities that are no list", { identities: good }, /identities: expected a list/],
    ["a null identity", { identities: [good, null] }, /identities\[1\]: expected namespace and/],
    ["a text for an identity", { identities: ["team/app"] }, /identities\[0\]/],
    ["no namespace", { identities: [{ serviceAccount: "app" }] }, /identities\[0\]/],
    ["an empty name", { identities: [{ ...good, serviceAccount: "" }] }, /identities\[0\]/],
    ["a name that is no text", { identities: [{ ...good, serviceAccount: 5 }] }, /identities\[0\]/],
    ["a list", [good], /expected a JSON object/],
    ["null", null, /expected a JSON object/],
  ] as const) {
    it(`refuses ${name}`, () => {
      assert.throws(() => parseContainerCredentials(JSON.stringify(value)), {
        code: "ASSOCIATION_INVALID",
        message: wanted,
      });
    });
  }

  it("reads or refuses whatever JSON it is given", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          parseContainerCredentials(text);
        } catch (err) {
          assert.ok(err instanceof AppError, String(err));
        }
      }),
    );
  });
});
