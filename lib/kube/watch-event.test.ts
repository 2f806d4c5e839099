import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseWatchEvent } from "./watch-event.ts";

const metadata = { name: "app", namespace: "team", resourceVersion: "7", later: "field" };
const object = { kind: "PartialObjectMetadata", metadata };

describe("parseWatchEvent", () => {
  for (const [type, read] of [
    ["ADDED", "put"],
    ["MODIFIED", "put"],
    ["DELETED", "delete"],
  ] as const) {
    it(`reads ${type}, and keeps fields it does not know`, () => {
      const event = parseWatchEvent(JSON.stringify({ type, object }));
      assert.deepEqual(event, { type: read, object, resourceVersion: "7" });
    });
  }

  it("reads a bookmark, which names no object", () => {
    const line = { type: "BOOKMARK", object: { metadata: { resourceVersion: "9" } } };
    assert.deepEqual(parseWatchEvent(JSON.stringify(line)), {
      type: "bookmark",
      resourceVersion: "9",
    });
  });

  it("reads an error with its status", () => {
    const status = { kind: "Status", code: 410, reason: "Expired", message: "too old" };
    const event = parseWatchEvent(JSON.stringify({ type: "ERROR", object: status }));
    assert.deepEqual(event, { type: "error", status });
  });

  for (const [name, line] of [
    ["nothing", ""],
    ["half an event", '{"type":"ADDED","object":{"metadata":{"name":"s3cret'],
    ["another value", "null"],
    ["an event of another type", '{"type":"s3cret","object":{}}'],
    ["an event without an object", '{"type":"ADDED"}'],
    ["an object without a name", '{"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}}'],
    [
      "an object with an empty name",
      '{"type":"ADDED","object":{"metadata":{"name":"","resourceVersion":"1"}}}',
    ],
    ["an object without a version", '{"type":"ADDED","object":{"metadata":{"name":"s3cret"}}}'],
    [
      "an annotation that is no text",
      '{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1","annotations":{"role":1}}}}',
    ],
    ["a bookmark without a version", '{"type":"BOOKMARK","object":{"metadata":{}}}'],
  ] as const) {
    it(`tells ${name} as unreadable, with a reason`, () => {
      const event = parseWatchEvent(line);
      assert.equal(event.type, "unreadable");
      assert.ok(event.type === "unreadable" && event.reason !== "");
    });
  }

  it("never throws, whatever the line", () => {
    const field = fc.jsonValue();
    const some = { requiredKeys: [] };
    const fields = { name: field, resourceVersion: field, annotations: field };
    const nearlyObject = fc.record({ metadata: fc.record(fields, some), code: field }, some);
    const anything = fc.oneof(
      fc.string(),
      fc.json(),
      nearlyObject.map((o) => JSON.stringify(o)),
    );
    fc.assert(
      fc.property(anything, fc.constantFrom("ADDED", "ERROR", "BOOKMARK"), (text, type) => {
        parseWatchEvent(text);
        parseWatchEvent(`{"type":"${type}","object":${text}}`);
      }),
    );
  });

  it("quotes no value of a line in its reason", () => {
    for (const line of ['{"type":"s3cret"}', '{"type":"ADDED","object":"s3cret"}', "s3cret"]) {
      assert.ok(!JSON.stringify(parseWatchEvent(line)).includes("s3cret"), line);
    }
  });
});
