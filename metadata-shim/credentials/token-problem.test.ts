import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UnsecuredJWT } from "jose";
import { tokenProblem } from "./token-problem.ts";

const CALLER = { podUid: "uid", podName: "app-0", namespace: "team", serviceAccount: "app" };
const SUBJECT = "system:serviceaccount:team:app";

/** A token whose signature nobody looks at here. */
function tokenOf({ sub = SUBJECT, podUid = "uid", accountUid = "sa", aud = "sts" }): string {
  const claims = {
    aud: [aud],
    "kubernetes.io": { pod: { uid: podUid }, serviceaccount: { uid: accountUid } },
  };
  return new UnsecuredJWT(claims).setSubject(sub).encode();
}

function problemOf(token: string, serviceAccountUid: string | undefined): string | undefined {
  const role = { roleArn: "arn", audience: "sts", serviceAccountUid };
  const found = tokenProblem(token, { caller: CALLER, role });
  return found && `${found.isDisputed ? "disputed: " : ""}${found.problem}`;
}

describe("tokenProblem", () => {
  it("takes the token's word for the UID of a ServiceAccount that is not known", () => {
    assert.equal(problemOf(tokenOf({}), "sa"), undefined);
    assert.equal(problemOf(tokenOf({}), undefined), undefined);
    for (const uid of ["other", ""]) {
      assert.equal(
        problemOf(tokenOf({}), uid),
        "disputed: it is of an earlier ServiceAccount of the same name",
      );
    }
  });

  for (const serviceAccountUid of ["sa", undefined]) {
    const name = serviceAccountUid === undefined ? "whose UID is not known" : "that is known";
    for (const [claims, problem] of [
      [{ podUid: "uid-2" }, "disputed: it is of another pod than uid"],
      [{ sub: "system:serviceaccount:other:app" }, `disputed: its subject is not ${SUBJECT}`],
      [{ sub: "system:serviceaccount:team:b" }, `disputed: its subject is not ${SUBJECT}`],
      [{ aud: "other" }, 'its audience is not "sts" alone'],
    ] as const) {
      it(`of a ServiceAccount ${name}: ${JSON.stringify(claims)}`, () => {
        assert.equal(problemOf(tokenOf(claims), serviceAccountUid), problem);
      });
    }
  }
});
