import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defineConfig } from "../../lib/config.ts";
import { MUTATION_SETTINGS, mutationSettingsOf } from "../mutation/mutation-config.ts";
import { NO_ASSOCIATION } from "../identity/identity-source.ts";
import { parsePod } from "../pod/pod.ts";
import type { AuditedPod } from "./audited-pod.ts";
import { FindingMemo, type FindingFacts } from "./finding-memo.ts";

const ROLE = "arn:aws:iam::111122223333:role/reader";
const settings = mutationSettingsOf(defineConfig(MUTATION_SETTINGS).parse([], {}), undefined);
const SHARED = parsePod({ spec: { serviceAccountName: "reader", containers: [{ name: "app" }] } });
const POLICY = {};
const FACTS: FindingFacts = {
  annotations: { "eks.amazonaws.com/role-arn": ROLE },
  roleSetAtMs: 5000,
  association: NO_ASSOCIATION,
  policy: POLICY,
};

function replica(createdAtMs: number): AuditedPod {
  return {
    uid: `u-${createdAtMs}`,
    serviceAccount: "reader",
    controller: undefined,
    createdAtMs,
    isReady: true,
    pod: SHARED,
  };
}

describe("FindingMemo", () => {
  it("gives replicas the very same finding", () => {
    const memo = new FindingMemo(settings);
    const finding = memo.findingFor(replica(6000), FACTS);
    assert.equal(finding?.reason, "no-token");
    assert.equal(memo.findingFor(replica(7000), { ...FACTS, roleSetAtMs: 6000 }), finding);
  });

  const changes: Readonly<
    Record<string, readonly [AuditedPod, Partial<FindingFacts>, string | undefined]>
  > = {
    "a replica that is older than the role": [replica(4999), {}, "annotated-later"],
    "a role that is gone": [replica(6000), { annotations: {} }, undefined],
    "a ServiceAccount that is gone": [replica(6000), { annotations: undefined }, undefined],
    "a policy that does not allow the role": [
      replica(6000),
      { policy: { allowedRoles: [] } },
      undefined,
    ],
  };
  for (const [name, [pod, change, reason]] of Object.entries(changes)) {
    it(`looks again for ${name}`, () => {
      const memo = new FindingMemo(settings);
      memo.findingFor(replica(6000), FACTS);
      assert.equal(memo.findingFor(pod, { ...FACTS, ...change })?.reason, reason);
    });
  }

  it("looks again for container credentials", () => {
    const memo = new FindingMemo(settings);
    memo.findingFor(replica(6000), FACTS);
    const association = { containerCredentials: true, configMap: undefined };
    const finding = memo.findingFor(replica(6000), { ...FACTS, association });
    assert.match(finding?.message ?? "", /AWS_CONTAINER_CREDENTIALS_FULL_URI/);
  });
});
