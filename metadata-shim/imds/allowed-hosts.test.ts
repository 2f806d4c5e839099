import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostOf, isAllowedHost, METADATA_HOSTS } from "./allowed-hosts.ts";

const hosts = new Set([...METADATA_HOSTS, "node.example"]);
const ALLOWED = [
  undefined,
  "169.254.169.254",
  "169.254.169.254:80",
  "169.254.169.254:",
  "[fd00:ec2::254]",
  "[FD00:EC2::254]:80",
  "node.example:8181",
];
const REFUSED = [
  "",
  "evil.example",
  "169.254.169.254.evil.example",
  "169.254.169.254:80:80",
  "169.254.169.254@evil.example",
  "[fd00:ec2::254",
  "[fd00:ec2::254]evil",
  "[]",
  "169.254.169.2540",
];

describe("isAllowedHost", () => {
  for (const host of ALLOWED) {
    it(`allows ${JSON.stringify(host)}`, () => assert.equal(isAllowedHost(host, hosts), true));
  }
  for (const host of REFUSED) {
    it(`refuses ${JSON.stringify(host)}`, () => assert.equal(isAllowedHost(host, hosts), false));
  }
});

describe("hostOf", () => {
  for (const [header, host] of [
    ["169.254.170.23", "169.254.170.23"],
    ["LOCALHOST:80", "localhost"],
    ["[169.254.170.23]", "169.254.170.23"],
    ["[fd00:ec2::23]:80", "fd00:ec2::23"],
    ["a:b:c", ""],
  ] as const) {
    it(`of ${header} is ${JSON.stringify(host)}`, () => assert.equal(hostOf(header), host));
  }
});
