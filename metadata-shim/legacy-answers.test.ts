import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AnsweredRequest } from "./app.ts";
import type { CredentialResult } from "./credentials/credentials.ts";
import { legacyAnswerOf, withLookUps } from "./legacy-answers.ts";

const answered: AnsweredRequest = {
  resource: "role-list",
  method: "GET",
  status: 200,
  reason: "ok",
  seconds: 0.001,
};

describe("an answer in the terms of the programs that came before", () => {
  const CASES = [
    [{}, "list", undefined],
    [{ resource: "role" }, "credentials", undefined],
    [{ resource: "text" }, "other", undefined],
    [{ resource: "none", status: 404, reason: "not-found" }, "other", "other"],
    [{ status: 404, reason: "caller-unknown" }, "list", "caller-unknown"],
    [{ status: 404, reason: "no-role" }, "list", "no-role"],
    [{ resource: "role", status: 503, reason: "credentials-throttled" }, "credentials", "other"],
  ] as const satisfies readonly (readonly [Partial<AnsweredRequest>, string, string | undefined])[];
  for (const [changes, asked, problem] of CASES) {
    it(`${JSON.stringify(changes)} is ${asked}, ${problem ?? "good"}`, () => {
      const facts = legacyAnswerOf({ ...answered, ...changes });
      assert.deepEqual([facts.asked, facts.problem], [asked, problem]);
    });
  }
});

function credentials(accessKeyId: string): CredentialResult {
  const times = { issuedAtMs: 0, expiresAtMs: 0 };
  const secrets = { secretAccessKey: "", sessionToken: "" };
  return { status: "good", credentials: { accessKeyId, ...secrets, ...times } };
}

describe("a look-up", () => {
  it("is a hit when the same credentials were given before", async () => {
    const first = credentials("ASIA1");
    const failure = { kind: "refused", code: "AccessDenied", message: "no" } as const;
    const results = [first, first, { status: "failed", ...failure } as const, credentials("ASIA2")];
    const hits: boolean[] = [];
    const obtain = withLookUps(async () => results.shift() ?? first, {
      onLookUp: (_roleArn, isHit) => hits.push(isHit),
    });
    const caller = { podUid: "uid", podName: "app", namespace: "ns", serviceAccount: "app" };
    const role = { roleArn: "arn", audience: "aud", serviceAccountUid: "sa" };
    for (let i = 0; i < 4; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await obtain({ caller, role });
    }
    assert.deepEqual(hits, [false, true, false, false]);
  });
});
