import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Mutation } from "../mutation/mutation.ts";
import { answerOf, parseReview, type ParsedReview, type PodReview } from "./review.ts";

const pod = { kind: "Pod", spec: { serviceAccountName: "app", containers: [{ name: "app" }] } };
const request = { uid: "u-1", namespace: "team", operation: "CREATE", object: pod };
const typeMeta = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" };

function parse(review: unknown): ParsedReview {
  return parseReview(typeof review === "string" ? review : JSON.stringify(review));
}

function podReviewOf(review: unknown): PodReview {
  const parsed = parse(review);
  assert.ok(parsed.status === "pod");
  return parsed.review;
}

const BAD_CONTENT = {
  response: { uid: "", allowed: false, status: { metadata: {}, message: "bad content" } },
};

describe("parseReview", () => {
  for (const [name, body] of [
    ["an empty body", ""],
    ["null", "null"],
    ["{}", "{}"],
    ["a null request", '{"request":null}'],
    ["a bare pod", { apiVersion: "v1", ...pod }],
  ] as const) {
    it(`calls ${name} bad content`, () => {
      const parsed = parse(body);
      assert.ok(parsed.status === "answered");
      assert.deepEqual(parsed.answer, BAD_CONTENT);
      assert.equal(parsed.reason, "bad-content");
    });
  }

  for (const [name, body] of [
    ["text", "hello s3cret"],
    ["cut-off JSON", JSON.stringify({ ...typeMeta, request }).slice(0, -1)],
    ["YAML", "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nrequest: {}\n"],
    ["a list", "[]"],
    ["a number", "5"],
    ["an apiVersion that is no text", { ...typeMeta, apiVersion: 5, request }],
    ["a request that is no object", { ...typeMeta, request: "x" }],
    ["a uid that is no text", { ...typeMeta, request: { ...request, uid: 1 } }],
  ] as const) {
    it(`does not allow ${name}, and does not quote it`, () => {
      const parsed = parse(body);
      assert.ok(parsed.status === "answered");
      assert.equal(parsed.reason, "not-a-review");
      const { uid, allowed, status } = parsed.answer.response;
      assert.deepEqual([uid, allowed], ["", false]);
      assert.match(String(status?.message), /^couldn't get version\/kind; json parse error: /);
      assert.doesNotMatch(String(status?.message), /s3cret/);
    });
  }

  for (const [name, object] of [
    ["no object", undefined],
    ["a null object", null],
    ["a text", "pod"],
    ["containers that are no list", { spec: { containers: "app" } }],
    ["an annotation that is no text", { metadata: { annotations: { a: 1 } } }],
    ["another kind", { kind: "Service", spec: {} }],
  ] as const) {
    it(`echoes the uid and does not allow ${name}`, () => {
      const parsed = parse({ ...typeMeta, request: { ...request, object } });
      assert.ok(parsed.status === "answered");
      const { uid, allowed, status } = parsed.answer.response;
      assert.deepEqual([uid, allowed], ["u-1", false]);
      assert.match(String(status?.message), /^Cannot read the object as a Pod: /);
      assert.equal(parsed.reason, "not-a-pod");
      assert.equal(parsed.answer.apiVersion, typeMeta.apiVersion);
    });
  }

  for (const [name, change] of [
    ["DELETE", { operation: "DELETE" }],
    ["UPDATE", { operation: "UPDATE" }],
    ["CONNECT", { operation: "CONNECT" }],
    ["a subresource", { subResource: "ephemeralcontainers" }],
    ["another resource", { resource: { group: "apps", version: "v1", resource: "deployments" } }],
    ["another group's pods", { resource: { group: "metrics.k8s.io", resource: "pods" } }],
  ] as const) {
    it(`allows ${name} as it is, with the reason`, () => {
      const parsed = parse({ ...typeMeta, request: { ...request, ...change } });
      assert.ok(parsed.status === "answered");
      assert.deepEqual(parsed.answer, {
        ...typeMeta,
        response: {
          uid: "u-1",
          allowed: true,
          auditAnnotations: { decision: "unchanged", reason: "not-a-pod-creation" },
        },
      });
    });
  }

  it("takes the namespace of the request, not of the pod", () => {
    const object = { ...pod, metadata: { namespace: "elsewhere" } };
    assert.equal(podReviewOf({ ...typeMeta, request: { ...request, object } }).namespace, "team");
  });

  for (const [name, oldObject, wanted] of [
    ["only the new ones", { ...pod, spec: { ephemeralContainers: [{ name: "old" }] } }, ["debug"]],
    ["all, when there were none", pod, ["old", "debug"]],
    ["all, when nothing is known of before", null, ["old", "debug"]],
  ] as const) {
    it(`takes new ephemeral containers for a pod's: ${name}`, () => {
      const spec = { ...pod.spec, ephemeralContainers: [{ name: "old" }, { name: "debug" }] };
      const debugging = {
        ...request,
        operation: "UPDATE",
        subResource: "ephemeralcontainers",
        resource: { group: "", version: "v1", resource: "pods" },
        object: { ...pod, spec },
        oldObject,
      };
      const { ephemeralContainers } = podReviewOf({ ...typeMeta, request: debugging });
      assert.deepEqual([...(ephemeralContainers ?? [])], wanted);
    });
  }

  it("takes a new pod for one as a whole", () => {
    assert.equal(podReviewOf({ ...typeMeta, request }).ephemeralContainers, undefined);
  });

  it("needs neither operation nor resource, and no uid", () => {
    const { uid, namespace } = podReviewOf({ request: { object: pod } });
    assert.deepEqual([uid, namespace], ["", ""]);
  });
});

const nothing: Mutation = {
  reason: "no-role-arn",
  identity: undefined,
  roleArn: undefined,
  operations: [],
  warnings: [],
};

describe("answerOf", () => {
  for (const meta of [
    typeMeta,
    { apiVersion: "admission.k8s.io/v1beta1", kind: "AdmissionReview" },
    { apiVersion: "foo.io/v9", kind: "Whatever" },
    {},
  ]) {
    it(`echoes ${JSON.stringify(meta)}`, () => {
      const answer = answerOf(podReviewOf({ ...meta, request }), nothing);
      assert.deepEqual(answer, {
        ...meta,
        response: {
          uid: "u-1",
          allowed: true,
          auditAnnotations: { decision: "unchanged", reason: "no-role-arn" },
        },
      });
    });
  }

  it("carries patch, role and warnings", () => {
    const operations = [{ op: "add", path: "/spec/volumes", value: ["ä"] }] as const;
    const answer = answerOf(podReviewOf({ ...typeMeta, request }), {
      reason: "injected",
      identity: undefined,
      roleArn: "arn:aws:iam::111122223333:role/r",
      operations,
      warnings: ["Look"],
    });
    const { patch, ...response } = answer.response;
    assert.deepEqual(JSON.parse(Buffer.from(String(patch), "base64").toString()), operations);
    assert.deepEqual(response, {
      uid: "u-1",
      allowed: true,
      patchType: "JSONPatch",
      auditAnnotations: {
        decision: "mutated",
        reason: "injected",
        "role-arn": "arn:aws:iam::111122223333:role/r",
      },
      warnings: ["Look"],
    });
  });
});
