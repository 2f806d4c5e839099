import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSignedBy, parseSignature, type WireRequest } from "./sigv4.ts";

// The Signature Version 4 test suite of AWS: its key, its date, and the signatures it gives.
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SCOPE = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";

function wireRequest(
  query: string,
  signature: string,
  headers: Readonly<Record<string, string>> = {},
): WireRequest {
  const signedHeaders = "host;x-amz-date";
  return {
    method: "GET",
    path: "/",
    query,
    headers: new Map(
      Object.entries({
        host: "example.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        authorization: `AWS4-HMAC-SHA256 Credential=${SCOPE}, SignedHeaders=${signedHeaders}, Signature=${signature}`,
        ...headers,
      }),
    ),
    body: Buffer.alloc(0),
  };
}

describe("isSignedBy", () => {
  for (const [name, query, signature] of [
    ["get-vanilla", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"],
    [
      "get-vanilla-query-order-key-case",
      "Param2=value2&Param1=value1",
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ],
  ] as const) {
    it(`holds for ${name}`, () => {
      const request = wireRequest(query, signature);
      assert.equal(isSignedBy(SECRET, request, parseSignature(request)), true);
      assert.equal(isSignedBy(`${SECRET}x`, request, parseSignature(request)), false);
    });

    it(`does not hold for ${name} with any digit of the signature changed`, () => {
      for (let at = 0; at < signature.length; at += 1) {
        const digit = signature[at] === "0" ? "1" : "0";
        const request = wireRequest(
          query,
          signature.slice(0, at) + digit + signature.slice(at + 1),
        );
        assert.equal(isSignedBy(SECRET, request, parseSignature(request)), false);
      }
    });
  }
});

describe("parseSignature", () => {
  const SIGNATURE = "5".repeat(64);

  it("reads who signed, when, and for what", () => {
    const presented = parseSignature(wireRequest("", SIGNATURE));
    assert.deepEqual(
      [presented.accessKeyId, presented.region, presented.service, presented.signedAtMs],
      ["AKIDEXAMPLE", "us-east-1", "service", Date.parse("2015-08-30T12:36:00Z")],
    );
  });

  for (const [name, headers] of [
    ["a date of another day than the scope", { "x-amz-date": "20150831T000000Z" }],
    ["a date that is none", { "x-amz-date": "20151330T000000Z" }],
    ["no date", { "x-amz-date": "" }],
    ["a signature of 63 digits", { authorization: `x, Signature=${"5".repeat(63)}` }],
    ["no credential", { authorization: `AWS4-HMAC-SHA256 Signature=${SIGNATURE}` }],
  ] as const) {
    it(`${name}: IncompleteSignature`, () => {
      const request = wireRequest("", SIGNATURE, headers);
      assert.throws(() => parseSignature(request), { code: "IncompleteSignature" });
    });
  }

  for (const expires of ["0", "604801", "x", ""]) {
    it(`presigned for "${expires}" seconds: IncompleteSignature`, () => {
      const query = new URLSearchParams({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": SCOPE,
        "X-Amz-Date": "20150830T123600Z",
        "X-Amz-Expires": expires,
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": SIGNATURE,
      });
      const request = wireRequest(query.toString(), SIGNATURE);
      assert.throws(() => parseSignature(request), { code: "IncompleteSignature" });
    });
  }
});
