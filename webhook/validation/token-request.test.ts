import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReviewRequest } from "../admission/review.ts";
import {
  isTokenRequest,
  parseTokenQuestion,
  tokenRequestProblem,
  type TokenQuestion,
} from "./token-request.ts";

const SHIM = "system:serviceaccount:irsa-system:irsa-shim";
const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: "app-0", uid: "uid-1" };

function review(change: Partial<ReviewRequest> = {}): ReviewRequest {
  return {
    uid: "u-1",
    namespace: "team",
    operation: "CREATE",
    resource: "serviceaccounts/token",
    userInfo: { username: SHIM, extra: { "authentication.kubernetes.io/node-name": ["node-a"] } },
    object: { spec: { audiences: ["sts.amazonaws.com"], boundObjectRef } },
    oldObject: null,
    typeMeta: {},
    ...change,
  };
}

const question: TokenQuestion = {
  namespace: "team",
  podName: "app-0",
  podUid: "uid-1",
  callerNode: "node-a",
};

describe("parseTokenQuestion", () => {
  it("reads the pod and the node of the caller", () => {
    assert.deepEqual(parseTokenQuestion(review()), question);
  });

  it("judges no caller whose token names no node", () => {
    const problem = `Cannot make a token for "${SHIM}": its own token names no node`;
    for (const names of [undefined, [], [""]]) {
      const extra = names === undefined ? {} : { "authentication.kubernetes.io/node-name": names };
      assert.equal(parseTokenQuestion(review({ userInfo: { username: SHIM, extra } })), problem);
    }
  });

  for (const [userInfo, name] of [
    [undefined, ""],
    [null, ""],
    ["root", ""],
    [{ username: 1 }, ""],
    [{ username: SHIM, extra: null }, SHIM],
  ] as const) {
    it(`judges no caller that is ${JSON.stringify(userInfo)}`, () => {
      const problem = `Cannot make a token for "${name}": its own token names no node`;
      assert.equal(parseTokenQuestion(review({ userInfo })), problem);
    });
  }

  for (const [name, object] of [
    ["no pod", { spec: {} }],
    ["null", { spec: { boundObjectRef: null } }],
    ["a Secret", { spec: { boundObjectRef: { ...boundObjectRef, kind: "Secret" } } }],
    ["a pod without a UID", { spec: { boundObjectRef: { kind: "Pod", name: "app-0" } } }],
    ["a pod with an empty UID", { spec: { boundObjectRef: { ...boundObjectRef, uid: "" } } }],
    ["nothing at all", null],
  ] as const) {
    it(`judges no token that is bound to ${name}`, () => {
      const problem = `Cannot make a token for "${SHIM}" that is bound to no pod by name and UID`;
      assert.equal(parseTokenQuestion(review({ object })), problem);
    });
  }
});

describe("tokenRequestProblem", () => {
  it("has none with a pod on the caller's node", () => {
    assert.equal(tokenRequestProblem(question, { uid: "uid-1", nodeName: "node-a" }), undefined);
  });

  for (const [pod, problem] of [
    [{ uid: "uid-1", nodeName: "node-b" }, 'it is on another node, the caller on "node-a"'],
    [{ uid: "uid-1", nodeName: undefined }, 'it is on no node, the caller on "node-a"'],
    [{ uid: "uid-2", nodeName: "node-a" }, "it has another UID"],
    [undefined, "it does not exist"],
  ] as const) {
    it(`says: ${problem}`, () => {
      const sentence = `Cannot make a token for pod "team/app-0": ${problem}`;
      assert.equal(tokenRequestProblem(question, pod), sentence);
    });
  }
});

describe("isTokenRequest", () => {
  it("is true of the creation of a token, and of nothing else", () => {
    assert.equal(isTokenRequest(review()), true);
    assert.equal(isTokenRequest(review({ operation: "UPDATE" })), false);
    assert.equal(isTokenRequest(review({ resource: "serviceaccounts" })), false);
  });
});
