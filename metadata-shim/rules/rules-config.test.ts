import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AppError } from "../../lib/errors.ts";
import {
  applyConfig,
  removeConfig,
  hostIpsOf,
  ruleSettingsOf,
  showConfig,
} from "./rules-config.ts";

describe("the interfaces", () => {
  for (const [text, only, never] of [
    ["", [], []],
    ["cali+", ["cali+"], []],
    ["!eth0", [], ["eth0"]],
    ["eni+, cali+ ,!eth0", ["eni+", "cali+"], ["eth0"]],
    ["! eth0,!eth0,cni0,cni0", ["cni0"], ["eth0"]],
    ["vlan.100+,abcdefghijklmno", ["vlan.100+", "abcdefghijklmno"], []],
  ] as const) {
    it(JSON.stringify(text), () => {
      const args = ["--host-ip", "10.0.0.5", "--host-interface", text];
      const { interfaces } = ruleSettingsOf(showConfig.parse(args, {}));
      assert.deepEqual(interfaces, { only, never });
    });
  }

  for (const text of [
    "a b",
    "+",
    "eth+0",
    "!!eth0",
    "abcdefghijklmnop",
    "e/0",
    "e\n-j ACCEPT",
    "é",
  ]) {
    it(`${JSON.stringify(text)} is none`, () => {
      const args = ["--host-ip", "10.0.0.5", "--host-interface", text];
      assert.throws(() => showConfig.parse(args, {}), isConfigError(/no interface/));
    });
  }
});

describe("the node's addresses", () => {
  for (const [text, wanted] of [
    ["10.0.0.5", { ipv4: "10.0.0.5" }],
    ["10.0.0.5,FD00:0::5", { ipv4: "10.0.0.5", ipv6: "fd00::5" }],
    ["fd00:0:0:0:0:0:0:5", { ipv6: "fd00::5" }],
    ["169.254.7.7", { ipv4: "169.254.7.7" }],
  ] as const) {
    it(text, () => {
      assert.deepEqual(hostIpsOf(showConfig.parse(["--host-ip", text], {})), wanted);
    });
  }

  for (const text of [
    "",
    "node",
    "10.0.0.5:8181",
    "10.0.0.5,10.0.0.6",
    "0.0.0.0",
    // N14: what is sent there is dropped as martian.
    "127.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "169.254.169.254",
    "fd00:ec2::254",
    "10.0.0.5\n-A",
  ]) {
    it(`${JSON.stringify(text)} cannot be used`, () => {
      assert.throws(() => showConfig.parse(["--host-ip", text], {}), isConfigError(/--host-ip/));
    });
  }

  it("are needed to put rules in, not to take them away", () => {
    assert.throws(() => applyConfig.parse([], {}), isConfigError(/expected the node's address/));
    assert.deepEqual(hostIpsOf(removeConfig.parse([], {})), {});
  });
});

function isConfigError(message: RegExp): (err: unknown) => boolean {
  return (err) =>
    err instanceof AppError && err.code === "CONFIG_INVALID" && message.test(err.message);
}
