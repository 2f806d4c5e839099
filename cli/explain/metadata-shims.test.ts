import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { metadataShimsIn } from "./metadata-shims.ts";

function daemonSet(...containers: readonly object[]): unknown {
  return {
    items: [
      {
        metadata: { namespace: "kube-system", name: "agent" },
        spec: {
          selector: { matchLabels: { app: "agent" } },
          template: { spec: { containers } },
        },
      },
    ],
  };
}

describe("metadataShimsIn", () => {
  it("reads the arguments of kube2iam's own DaemonSet, with image and command changed", () => {
    const [shim] = metadataShimsIn(
      daemonSet({
        command: ["irsa", "shim", "--profile=kube2iam"],
        args: [
          "--base-role-arn=arn:aws:iam::111122223333:role",
          "--node=$(NODE_NAME)",
          "--host-ip=$(HOST_IP)",
          "--iptables=true",
          "--host-interface=weave",
          "--default-role",
          "fallback",
          "--namespace-restrictions",
        ],
      }),
    );
    assert.equal(shim?.problem, undefined);
    assert.equal(shim?.settings?.profile, "kube2iam");
    assert.equal(shim?.settings?.httpTokens, "optional");
    assert.equal(shim?.settings?.role.baseRoleArn, "arn:aws:iam::111122223333:role/");
    assert.equal(shim?.settings?.role.defaultRole, "fallback");
    assert.equal(shim?.settings?.role.allowedRoles?.format, "glob");
  });

  it("finds the container that serves beside the one that keeps the rules, and its variables", () => {
    const [shim] = metadataShimsIn(
      daemonSet(
        { args: ["shim", "rules", "apply", "--watch"] },
        {
          command: ["node", "--max-semi-space-size=1", "/app/irsa.mjs"],
          args: ["shim", "--remove-taint=a.io/not-ready", "--a-flag-to-come=x"],
          env: [{ name: "IRSA_HTTP_TOKENS", value: "optional" }, { name: "NODE_NAME" }],
        },
      ),
    );
    assert.deepEqual(
      [shim?.settings?.profile, shim?.settings?.httpTokens, shim?.taint, shim?.podLabels],
      ["strict", "optional", "a.io/not-ready", { app: "agent" }],
    );
  });

  it("passes over what is none", () => {
    for (const container of [
      { args: ["shim", "rules", "apply"] },
      { args: ["webhook", "--shim"] },
      { command: ["sh", "-c", "shim"] },
      { args: ["--component", "shim"] },
      {},
    ]) {
      assert.deepEqual(metadataShimsIn(daemonSet(container)), []);
    }
  });

  it("says why the settings of one cannot be read", () => {
    const [shim] = metadataShimsIn(daemonSet({ args: ["shim", "--profile=other"] }));
    assert.equal(shim?.settings, undefined);
    assert.match(shim?.problem ?? "", /expected strict, kube2iam or kiam/);
  });
});
