import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { REVIEW, REVIEW_JSON, ROLE_ARN, serveWebhook } from "../test/fakes/served-webhook.ts";

describe("POST /mutate", () => {
  it("patches a pod whose ServiceAccount has a role", async () => {
    await using served = await serveWebhook();
    const { status, headers, body } = await served.send({ body: REVIEW_JSON });
    assert.equal(status, 200);
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["content-length"], String(Buffer.byteLength(body)));
    for (const absent of ["etag", "x-powered-by"]) assert.equal(headers[absent], undefined);
    const { response, ...typeMeta } = JSON.parse(body);
    assert.deepEqual(typeMeta, { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" });
    const { patch, ...rest } = response;
    assert.deepEqual(rest, {
      uid: "u-1",
      allowed: true,
      patchType: "JSONPatch",
      auditAnnotations: { decision: "mutated", reason: "injected", "role-arn": ROLE_ARN },
    });
    assert.equal(JSON.parse(Buffer.from(patch, "base64").toString()).length, 4);
  });

  it("asks for the ServiceAccount in the namespace of the request", async () => {
    const asked: string[] = [];
    await using served = await serveWebhook({
      stateOf: async (namespace, name) => {
        asked.push(`${namespace}/${name}`);
        return { status: "service-account-not-found" };
      },
    });
    const { body } = await served.send({ body: REVIEW_JSON });
    assert.deepEqual(asked, ["team/app"]);
    assert.deepEqual(JSON.parse(body).response, {
      uid: "u-1",
      allowed: true,
      auditAnnotations: { decision: "unchanged", reason: "service-account-not-found" },
      warnings: ["Pod gets no AWS identity: its ServiceAccount does not exist"],
    });
  });

  it("asks for none when the pod names none", async () => {
    await using served = await serveWebhook({
      stateOf: () => assert.fail("a ServiceAccount was asked for"),
    });
    const object = { spec: { containers: [{ name: "app" }] } };
    const body = JSON.stringify({ request: { ...REVIEW.request, object } });
    assert.equal(
      JSON.parse((await served.send({ body })).body).response.auditAnnotations.reason,
      "no-service-account",
    );
  });

  it("takes no other method", async () => {
    await using served = await serveWebhook();
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await served.send({ method, body: REVIEW_JSON });
      assert.deepEqual([answer.status, answer.headers["allow"]], [405, "POST"]);
    }
  });

  it("logs one line a review, without the pod", async () => {
    await using served = await serveWebhook();
    await served.send({ body: REVIEW_JSON });
    assert.equal(served.log.length, 1);
    const {
      durationMs,
      time: _time,
      level: _level,
      service: _service,
      ...line
    } = served.log[0] ?? {};
    assert.equal(typeof durationMs, "number");
    assert.deepEqual(line, {
      msg: "Reviewed pod",
      uid: "u-1",
      tier: "enabled",
      namespace: "team",
      pod: "app-",
      serviceAccount: "app",
      source: "service-account",
      roleArn: ROLE_ARN,
      decision: "mutated",
      reason: "injected",
      ops: 4,
    });
  });

  it("counts reviews by outcome and reason, and how long they took", async () => {
    await using served = await serveWebhook();
    await served.send({ body: REVIEW_JSON });
    await served.send({ body: "{}" });
    await served.send({ headers: {} });
    const metrics = await served.registry.metrics();
    for (const line of [
      'irsa_webhook_reviews_total{outcome="mutated",reason="injected"} 1',
      'irsa_webhook_reviews_total{outcome="refused",reason="bad-content"} 1',
      'irsa_webhook_reviews_total{outcome="refused",reason="unreadable-request"} 1',
      "irsa_webhook_review_duration_seconds_count 2",
    ]) {
      assert.ok(metrics.includes(`${line}\n`), line);
    }
  });
});

describe("probes", () => {
  it("says that it lives, and whether it is ready and why not, without a log line", async () => {
    let problem: string | undefined = "ServiceAccounts are not listed yet";
    await using served = await serveWebhook({ notReadyBecause: () => problem });
    const get = async (path: string): Promise<readonly unknown[]> => {
      const { status, body } = await served.send({ method: "GET", path, headers: {} });
      return [status, body];
    };
    assert.deepEqual(await get("/healthz"), [200, "ok\n"]);
    assert.deepEqual(await get("/readyz"), [503, `${problem}\n`]);
    problem = undefined;
    assert.deepEqual(await get("/readyz"), [200, "ok\n"]);
    assert.deepEqual(await get("/metrics"), [404, "not found\n"]);
    assert.deepEqual(served.log, []);
  });
});
