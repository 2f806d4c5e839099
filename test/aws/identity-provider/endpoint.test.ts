import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { endpointOf, parseHostPort } from "./endpoint.ts";

describe("parseHostPort", () => {
  for (const [text, endpoint] of [
    ["127.0.0.1:8443", { host: "127.0.0.1", port: 8443 }],
    ["issuer:443", { host: "issuer", port: 443 }],
    ["[::1]:1", { host: "::1", port: 1 }],
    ["a:65535", { host: "a", port: 65_535 }],
  ] as const) {
    it(`reads ${text}`, () => assert.deepEqual(parseHostPort(text), endpoint));
  }

  for (const text of [
    "",
    "a",
    "a:",
    ":1",
    "a:0",
    "a:65536",
    "a:b",
    "::1:1",
    "[a]:1",
    "a:1/",
    "a b:1",
  ]) {
    it(`refuses "${text}"`, () => assert.equal(parseHostPort(text), undefined));
  }
});

describe("endpointOf", () => {
  const names = { "issuer.example": "127.0.0.1:8443", localhost: "127.0.0.2:1" };
  for (const [url, endpoint] of [
    ["https://issuer.example/a", { host: "127.0.0.1", port: 8443 }],
    ["https://ISSUER.example:9/a", { host: "127.0.0.1", port: 8443 }],
    ["https://localhost:8443", { host: "127.0.0.2", port: 1 }],
    ["https://127.0.0.1:8443", { host: "127.0.0.1", port: 8443 }],
    ["https://127.0.0.1", { host: "127.0.0.1", port: 443 }],
    ["https://[::1]:8443", { host: "::1", port: 8443 }],
    ["https://other.example", undefined],
    ["https://sub.issuer.example", undefined],
    ["https://10.0.0.1", undefined],
    ["https://constructor", undefined],
  ] as const) {
    it(`${url}: ${endpoint === undefined ? "nowhere" : `${endpoint.host}:${endpoint.port}`}`, () => {
      assert.deepEqual(endpointOf(new URL(url), names), endpoint);
    });
  }

  it("a loopback issuer needs no table, and is sought on the IPv4 loopback", () => {
    const endpoint = endpointOf(new URL("https://localhost:8443"), {});
    assert.deepEqual(endpoint, { host: "127.0.0.1", port: 8443 });
  });
});
