import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReviewRequest } from "../admission/review.ts";
import { validationOf, type Validation, type ValidationMode } from "./validation.ts";

const settings = {
  annotationPrefix: "eks.amazonaws.com",
  roleAccount: undefined,
  audience: "sts.amazonaws.com",
  region: "",
};
const KEY = "eks.amazonaws.com/role-arn";
const good = { metadata: { annotations: { [KEY]: "arn:aws:iam::111122223333:role/a" } } };
const bad = { metadata: { annotations: { [KEY]: "a" } } };
const worse = { metadata: { annotations: { [KEY]: "b" } } };
const PROBLEM = `annotation ${KEY} "a" is a name: write arn:aws:iam::ACCOUNT:role/a`;
const typeMeta = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" };

function validate(request: Partial<ReviewRequest>, mode: ValidationMode = "warn"): Validation {
  const whole = {
    uid: "u-1",
    namespace: "team",
    operation: "CREATE",
    resource: "serviceaccounts",
    object: good,
    oldObject: null,
    userInfo: undefined,
    typeMeta,
    ...request,
  };
  return validationOf(whole, { settings, mode, policy: {} });
}

describe("validationOf", () => {
  it("accepts what has no mistake, without a word", () => {
    assert.deepEqual(validate({}), {
      answer: {
        ...typeMeta,
        response: { uid: "u-1", allowed: true, auditAnnotations: { decision: "accepted" } },
      },
      outcome: "accepted",
      problems: [],
    });
  });

  it("warns of a mistake, by default", () => {
    assert.deepEqual(validate({ object: bad }).answer, {
      ...typeMeta,
      response: {
        uid: "u-1",
        allowed: true,
        auditAnnotations: { decision: "warned" },
        warnings: [PROBLEM],
      },
    });
  });

  it("denies it on demand, with the same sentence", () => {
    assert.deepEqual(validate({ object: bad }, "deny").answer, {
      ...typeMeta,
      response: {
        uid: "u-1",
        allowed: false,
        status: { metadata: {}, message: PROBLEM, reason: "Forbidden", code: 403 },
        auditAnnotations: { decision: "denied" },
      },
    });
  });

  it("tells the first of very many mistakes, and how many there are", () => {
    const keys = Array.from({ length: 5000 }, (_, i) => `eks.amazonaws.com/other-${i}`);
    const annotations = Object.fromEntries(keys.map((key) => [key, ""]));
    const { answer, problems } = validate({ object: { metadata: { annotations } } });
    assert.equal(answer.response.warnings?.length, 21);
    assert.match(answer.response.warnings[0] ?? "", /other-0 is not read/);
    assert.equal(answer.response.warnings.at(-1), "4980 more mistakes");
    assert.deepEqual(problems, answer.response.warnings);
  });

  it("denies a new one that comes after very many, and names it first", () => {
    const keys = Array.from({ length: 30 }, (_, i) => `eks.amazonaws.com/other-${i}`);
    const annotations = Object.fromEntries(keys.map((key) => [key, ""]));
    const oldObject = { metadata: { annotations } };
    const object = { metadata: { annotations: { ...annotations, [KEY]: "a" } } };
    const { outcome, answer } = validate({ operation: "UPDATE", object, oldObject }, "deny");
    assert.equal(outcome, "denied");
    assert.ok(answer.response.status?.message.startsWith(PROBLEM));
  });

  const leaving = { metadata: { ...bad.metadata, deletionTimestamp: "2026-11-01T00:00:00Z" } };
  const namespace = { metadata: { labels: { "irsa-anywhere.io/injection": "enable" } } };
  for (const [name, request, outcome] of [
    [
      "a mistake that a change brings in",
      { operation: "UPDATE", object: bad, oldObject: good },
      "denied",
    ],
    [
      "another mistake in place of one",
      { operation: "UPDATE", object: worse, oldObject: bad },
      "denied",
    ],
    [
      "a mistake that was there before",
      { operation: "UPDATE", object: bad, oldObject: bad },
      "warned",
    ],
    [
      "a mistake that is corrected",
      { operation: "UPDATE", object: good, oldObject: bad },
      "accepted",
    ],
    [
      "a mistake in what is on its way out",
      { operation: "UPDATE", object: leaving, oldObject: good },
      "warned",
    ],
    [
      "a mistake in what is deleted",
      { operation: "DELETE", object: null, oldObject: bad },
      "accepted",
    ],
    ["a mistake in a Namespace", { resource: "namespaces", object: namespace }, "denied"],
    ["any other kind", { resource: "pods", object: bad }, "accepted"],
    ["what is no object", { object: 5 }, "accepted"],
    ["annotations of a wrong type", { object: { metadata: { annotations: 5 } } }, "accepted"],
  ] as const) {
    it(`where mistakes are denied, ${name} is ${outcome}`, () => {
      assert.equal(validate(request, "deny").outcome, outcome);
    });
  }
});
