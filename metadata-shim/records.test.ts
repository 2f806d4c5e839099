import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { createMetrics } from "./metrics.ts";
import { createPodEvents } from "./pod-events.ts";
import { createRecords } from "./records.ts";

const ROLE = "arn:aws:iam::111122223333:role/old";

describe("records", () => {
  it("mark what the node's rights gave: in the audit, counted by role, warned of once a role", async () => {
    const registry = new Registry();
    const { log, lines } = createCollectedLog();
    const events = createPodEvents({ record: () => Promise.resolve("created") }, "own");
    const records = createRecords({ log, metrics: createMetrics(registry), events });
    const credentials = {
      accessKeyId: "ASIAEXAMPLE",
      secretAccessKey: "secret",
      sessionToken: "token",
      expiresAtMs: 3_600_000,
      issuedAtMs: 0,
    };
    const issue = (roleArn: string, isByNode: boolean): void =>
      records.issued(
        {
          caller: { podUid: "uid", podName: "app", namespace: "ns", serviceAccount: "sa" },
          role: { roleArn, audience: "sts.amazonaws.com", serviceAccountUid: "sa-uid" },
        },
        { ...credentials, isByNode },
      );
    issue(ROLE, true);
    issue(ROLE, true);
    issue(`${ROLE}er`, true);
    issue(ROLE, false);
    const facts = { podUid: "uid", namespace: "ns", pod: "app", serviceAccount: "sa" };
    const audit = { accessKeyId: "ASIAEXAMPLE", expiration: "1970-01-01T01:00:00Z" };
    const told = lines.map(({ msg, roleArn, legacy }) => [msg, roleArn, legacy]);
    const warning =
      "The node's own rights gave credentials: let the role's trust policy trust the ServiceAccount, and the pod have a token";
    assert.deepEqual(told, [
      ["Issued credentials", ROLE, true],
      [warning, ROLE, undefined],
      ["Issued credentials", ROLE, true],
      ["Issued credentials", `${ROLE}er`, true],
      [warning, `${ROLE}er`, undefined],
      ["Issued credentials", ROLE, undefined],
    ]);
    const [first = {}] = lines;
    for (const [key, value] of Object.entries({ ...facts, ...audit })) {
      assert.equal(first[key], value);
    }
    const text = await registry.metrics();
    assert.match(
      text,
      new RegExp(`^irsa_shim_legacy_credentials_total\\{role="${ROLE}"\\} 2$`, "m"),
    );
    assert.match(text, /^irsa_shim_legacy_credentials_total\{role="[^"]+older"\} 1$/m);
    assert.match(text, /^irsa_shim_credentials_issued_total 4$/m);
  });
});
