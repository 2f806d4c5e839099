import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { credentialKeyOf } from "./credential-key.ts";

const CALLER = { podUid: "uid", podName: "app", namespace: "team", serviceAccount: "app" };
const ROLE = { roleArn: "arn:aws:iam::111122223333:role/a", audience: "sts", legacy: true };

describe("credentialKeyOf", () => {
  it("tells a ServiceAccount whose UID is not known from any that has one", () => {
    const keys = [undefined, "", "null", "undefined", "sa"].map((serviceAccountUid) =>
      credentialKeyOf({ caller: CALLER, role: { ...ROLE, serviceAccountUid } }),
    );
    assert.equal(new Set(keys).size, keys.length);
  });

  it("tells pods apart whose ServiceAccounts are not known", () => {
    const role = { ...ROLE, serviceAccountUid: undefined };
    const [one, two] = ["uid", "uid-2"].map((podUid) =>
      credentialKeyOf({ caller: { ...CALLER, podUid }, role }),
    );
    assert.notEqual(one, two);
  });
});
