import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { issuerViolations, parseIssuer } from "./issuer-url.ts";

const PORT = "must not have a port (also not :443)";
const LENGTH = "must be 1..255 characters, no white space";

describe("issuerViolations", () => {
  const longest = `https://oidc.example.com/${"p".repeat(255 - 25)}`;

  for (const [name, raw] of [
    ["a bare host", "https://oidc.example.com"],
    ["a path", "https://oidc.example.com/prod"],
    ["a deep path", "https://s3.eu-central-1.amazonaws.com/bucket/a/b"],
    ["upper case in the path", "https://oidc.example.com/Prod"],
    ["255 characters", longest],
  ] as const) {
    it(`takes ${name}`, () => assert.deepEqual(issuerViolations(raw), []));
  }

  for (const [name, raw, expected] of [
    ["nothing", "", ["must be a URL", LENGTH]],
    ["no URL", "oidc.example.com", ["must be a URL"]],
    ["http", "http://h.example", ["must be https", "is not canonical, expected https://h.example"]],
    [
      "another scheme",
      "ftp://h.example/p",
      ["must be https", "is not canonical, expected https://h.example/p"],
    ],
    [
      "a user",
      "https://u@h.example/p",
      ["must not contain user info", "is not canonical, expected https://h.example/p"],
    ],
    [
      "a password alone",
      "https://:pw@h.example",
      ["must not contain user info", "is not canonical, expected https://h.example"],
    ],
    [
      "a query",
      "https://h.example/p?a=b",
      ["must not have a query", "is not canonical, expected https://h.example/p"],
    ],
    [
      "a bare question mark",
      "https://h.example/p?",
      ["must not have a query", "is not canonical, expected https://h.example/p"],
    ],
    [
      "a fragment",
      "https://h.example/p#a",
      ["must not have a fragment", "is not canonical, expected https://h.example/p"],
    ],
    [
      "a bare hash",
      "https://h.example/p#",
      ["must not have a fragment", "is not canonical, expected https://h.example/p"],
    ],
    [
      "the default port",
      "https://h.example:443/p",
      [PORT, "is not canonical, expected https://h.example/p"],
    ],
    [
      "another port",
      "https://h.example:6443",
      [PORT, "is not canonical, expected https://h.example"],
    ],
    [
      "a colon without a port",
      "https://h.example:/p",
      [PORT, "is not canonical, expected https://h.example/p"],
    ],
    ["a slash after a path", "https://h.example/p/", ["must not end with a slash"]],
    [
      "a slash after the host",
      "https://h.example/",
      ["must not end with a slash", "is not canonical, expected https://h.example"],
    ],
    [
      "white space before",
      " https://h.example/p",
      [LENGTH, "is not canonical, expected https://h.example/p"],
    ],
    [
      "a newline after",
      "https://h.example/p\n",
      [LENGTH, "is not canonical, expected https://h.example/p"],
    ],
    ["a tab inside", "https://h.example/a\tb", ["is not canonical, expected https://h.example/ab"]],
    ["256 characters", `${longest}p`, [LENGTH]],
    [
      "an upper-case host",
      "https://H.example/p",
      ["is not canonical, expected https://h.example/p"],
    ],
    [
      "an upper-case scheme",
      "HTTPS://h.example/p",
      ["is not canonical, expected https://h.example/p"],
    ],
    [
      "a dot segment",
      "https://h.example/a/../p",
      ["is not canonical, expected https://h.example/p"],
    ],
    [
      "an encoded dot segment",
      "https://h.example/a/%2e%2e/p",
      ["is not canonical, expected https://h.example/p"],
    ],
    [
      "an encoded host",
      "https://%68.example/p",
      ["is not canonical, expected https://h.example/p"],
    ],
    [
      "an internationalised host",
      "https://bücher.example",
      ["is not canonical, expected https://xn--bcher-kva.example"],
    ],
  ] as const) {
    it(`refuses ${name}`, () => assert.deepEqual(issuerViolations(raw), expected));
  }

  it("reports all violations together", () => {
    assert.deepEqual(issuerViolations(" http://u:p@H.example:80/?q#f/"), [
      "must be https",
      "must not contain user info",
      "must not have a query",
      "must not have a fragment",
      PORT,
      "must not end with a slash",
      LENGTH,
      "is not canonical, expected https://h.example",
    ]);
  });
});

describe("parseIssuer", () => {
  for (const [raw, hostPath, host, path] of [
    ["https://oidc.example.com", "oidc.example.com", "oidc.example.com", ""],
    ["https://oidc.example.com/a/b", "oidc.example.com/a/b", "oidc.example.com", "/a/b"],
  ] as const) {
    it(`reads ${raw}`, () => {
      assert.deepEqual(parseIssuer(raw), { url: raw, hostPath, host, path });
    });
  }

  it("quotes the raw value", () => {
    assert.throws(() => parseIssuer("https://h.example/p/"), {
      code: "ISSUER_INVALID",
      message: 'Cannot use the issuer "https://h.example/p/": must not end with a slash',
    });
  });
});
