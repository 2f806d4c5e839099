import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import jsonPatch from "fast-json-patch";
import { z } from "zod";
import { applyOperations } from "../mutation/apply-operations.ts";
import type { AddOperation } from "../mutation/add-operation.ts";
import { patchText } from "./patch-text.ts";

const Operations = z.array(
  z.discriminatedUnion("op", [
    z.object({ op: z.literal("add"), path: z.string(), value: z.unknown() }),
    z.object({ op: z.literal("copy"), path: z.string(), from: z.string() }),
    z.object({ op: z.literal("remove"), path: z.string() }),
  ]),
);

const pod = (): object => ({
  spec: { containers: [{ env: [] }, { env: [{ name: "A", value: "1" }] }, { env: [] }] },
});

function applied(text: string): unknown {
  const operations = Operations.parse(JSON.parse(text));
  return jsonPatch.applyPatch(pod(), operations, true).newDocument;
}

const role = { name: "AWS_ROLE_ARN", value: "arn:aws:iam::111122223333:role/reader" };
const addTo = (container: number, value: unknown): AddOperation => ({
  op: "add",
  path: `/spec/containers/${container}/env/-`,
  value,
});

describe("patchText", () => {
  it("leaves a patch as it is in which everything is there once", () => {
    const operations = [addTo(0, role), addTo(0, { name: "B", value: "2" })];
    assert.deepEqual(JSON.parse(patchText(operations)), operations);
  });

  it("says once what several containers are given", () => {
    const text = patchText([addTo(0, role), addTo(1, role), addTo(2, role)]);
    assert.equal(text.split("AWS_ROLE_ARN").length, 2);
    assert.deepEqual(
      applied(text),
      applyOperations(
        pod(),
        [0, 1, 2].map((i) => addTo(i, role)),
      ),
    );
  });

  it("repeats what is shorter than a copy of it", () => {
    const operations = [addTo(0, "a"), addTo(1, "a")];
    assert.deepEqual(JSON.parse(patchText(operations)), operations);
  });

  it("has the same outcome as the operations, and never more text", () => {
    const value = fc.oneof(
      fc.constant(role),
      fc.record({ name: fc.string(), value: fc.string({ minLength: 20, maxLength: 60 }) }),
      fc.constant([role, { name: 'ä"\\\u2028', value: "~1/_" }]),
    );
    const operation = fc.tuple(fc.nat({ max: 2 }), value).map((each) => addTo(...each));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 15 }), (operations) => {
        const text = patchText(operations);
        assert.deepEqual(applied(text), applyOperations(pod(), operations));
        assert.ok(text.length <= JSON.stringify(operations).length);
      }),
    );
  });
});
