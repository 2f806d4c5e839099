import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AppError } from "../../lib/errors.ts";
import { shimConfig } from "../config.ts";
import { legacyPlaceOf } from "../legacy/legacy-config.ts";
import {
  applyConfig,
  removeConfig,
  hostIpsOf,
  rulePortOf,
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

describe("the port", () => {
  for (const [flags, env, wanted] of [
    [[], {}, 8181],
    [["--profile=kube2iam"], {}, 8181],
    [["--profile=kiam"], {}, 3100],
    [[], { IRSA_PROFILE: "kiam" }, 3100],
    [["--profile=kiam", "--app-port=8181"], {}, 8181],
    [["--profile=kiam", "--port=9000"], {}, 9000],
    [["--port=9000"], { IRSA_APP_PORT: "9001" }, 9001],
  ] as const) {
    it(`of ${[...flags, JSON.stringify(env)].join(" ")} is the shim's, ${wanted}`, () => {
      const argv = ["--host-ip=10.0.0.5", ...flags];
      assert.equal(ruleSettingsOf(showConfig.parse(argv, env)).port, wanted);
      assert.equal(ruleSettingsOf(applyConfig.parse(argv, env)).port, wanted);
      assert.equal(rulePortOf(removeConfig.parse(argv, env)), wanted);
      const shim = shimConfig.parse(argv, env);
      assert.equal(legacyPlaceOf(shim, shim.profile, env).port, wanted);
    });
  }

  it("is one that can be led to", () => {
    for (const text of ["0", "65536", "x"]) {
      assert.throws(
        () => removeConfig.parse([`--app-port=${text}`], {}),
        isConfigError(/--app-port "\w+": expected an integer from 1 to 65535/),
      );
    }
  });
});

function isConfigError(message: RegExp): (err: unknown) => boolean {
  return (err) =>
    err instanceof AppError && err.code === "CONFIG_INVALID" && message.test(err.message);
}
