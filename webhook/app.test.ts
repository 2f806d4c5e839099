import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpsRequest } from "node:https";
import { text } from "node:stream/consumers";
import { connect as tlsConnect } from "node:tls";
import { before, describe, it } from "node:test";
import { Registry } from "prom-client";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { until } from "../test/fakes/until.ts";
import { createAuthority, issueServingCertificate } from "../lib/certificates.ts";
import { AppError } from "../lib/errors.ts";
import { listen } from "../lib/http.ts";
import type { KeyPair } from "../lib/server-certificate.ts";
import { BODY_LIMIT_BYTES, createApp, type AppDeps } from "./app.ts";
import { mutationSettingsOf, webhookConfig } from "./config.ts";
import { NO_ASSOCIATION } from "./identity-source.ts";
import { createMetrics } from "./metrics.ts";

const JSON_TYPE = { "content-type": "application/json" };
const ROLE_ARN = "arn:aws:iam::111122223333:role/s3-reader";
const pod = {
  metadata: { generateName: "app-" },
  spec: { serviceAccountName: "app", containers: [{ name: "app", env: [{ value: "s3cret" }] }] },
};
const review = {
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "u-1", namespace: "team", operation: "CREATE", object: pod },
};

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

interface Served extends AsyncDisposable {
  readonly port: number;
  readonly ca: string;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly registry: Registry;
  send(options: {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  }): Promise<Answer>;
}

let keyPair: KeyPair;
before(async () => {
  const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  keyPair = await issueServingCertificate(
    await createAuthority("Test CA", validity),
    ["127.0.0.1"],
    validity,
  );
});

/** Serves the app over TLS on loopback, with ServiceAccounts that all have the same state. */
async function serve(deps: Partial<AppDeps> = {}): Promise<Served> {
  const { log, lines } = createCollectedLog();
  const registry = new Registry();
  const app = createApp({
    settings: mutationSettingsOf(webhookConfig.parse([], {}), undefined),
    stateOf: async () => ({
      status: "found",
      annotations: { "eks.amazonaws.com/role-arn": ROLE_ARN },
    }),
    associationOf: async () => NO_ASSOCIATION,
    random: () => 0,
    placeOf: async () => undefined,
    policyOf: async () => ({}),
    validation: "warn",
    notReadyBecause: () => undefined,
    log,
    metrics: createMetrics(registry),
    ...deps,
  });
  const server = await listen(app, { port: 0, host: "127.0.0.1", drainMs: 0, keyPair });
  const { port } = server;
  return {
    port,
    ca: keyPair.cert,
    log: lines,
    registry,
    async send({ method = "POST", path = "/mutate", headers = JSON_TYPE, body = "" }) {
      const req = httpsRequest({
        host: "127.0.0.1",
        port,
        ca: keyPair.cert,
        agent: false,
        method,
        path,
        headers: { ...headers, "content-length": Buffer.byteLength(body) },
      });
      req.end(body);
      const [res] = await once(req, "response");
      return { status: res.statusCode, headers: res.headers, body: await text(res) };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const asJson = JSON.stringify(review);

/** The good request that shows that a server is still well. */
async function assertAlive(served: Served): Promise<void> {
  const { status, body } = await served.send({ body: asJson });
  assert.equal(status, 200);
  assert.equal(JSON.parse(body).response.patchType, "JSONPatch");
}

const tokenReview = {
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "u-2",
    namespace: "team",
    operation: "CREATE",
    resource: { group: "", version: "v1", resource: "serviceaccounts" },
    subResource: "token",
    userInfo: {
      username: "system:serviceaccount:irsa-system:irsa-shim",
      extra: { "authentication.kubernetes.io/node-name": ["node-a"] },
    },
    object: { spec: { boundObjectRef: { kind: "Pod", name: "app-0", uid: "uid-1" } } },
  },
};

describe("POST /validate/token-requests", () => {
  const path = "/validate/token-requests";

  it("allows a token of a pod on the caller's node, and refuses one of another", async () => {
    const nodes = new Map([
      ["team/app-0", "node-a"],
      ["other/app-0", "node-b"],
    ]);
    await using served = await serve({
      placeOf: async (namespace, name) => ({
        uid: "uid-1",
        nodeName: nodes.get(`${namespace}/${name}`),
      }),
    });
    const answerIn = async (namespace: string) => {
      const body = { ...tokenReview, request: { ...tokenReview.request, namespace } };
      const answer = await served.send({ path, body: JSON.stringify(body) });
      return JSON.parse(answer.body).response;
    };
    assert.deepEqual(await answerIn("team"), {
      uid: "u-2",
      allowed: true,
      auditAnnotations: { decision: "allowed" },
    });
    const message =
      'Cannot make a token for pod "other/app-0": it is on another node, the caller on "node-a"';
    assert.deepEqual(await answerIn("other"), {
      uid: "u-2",
      allowed: false,
      status: { metadata: {}, message, reason: "Forbidden", code: 403 },
      auditAnnotations: { decision: "denied" },
    });
    assert.equal(served.log.find(({ msg }) => msg === "Refused a token")?.["problem"], message);
    const metrics = await served.registry.metrics();
    assert.match(metrics, /irsa_webhook_token_requests_total\{outcome="allowed"\} 1/);
    assert.match(metrics, /irsa_webhook_token_requests_total\{outcome="denied"\} 1/);
  });

  it("refuses while nobody can say where the pod is", async () => {
    await using served = await serve({
      placeOf: async () => {
        throw new AppError("KUBERNETES_UNAVAILABLE", 503, "Cannot reach the API server");
      },
    });
    const { body } = await served.send({ path, body: JSON.stringify(tokenReview) });
    const { allowed, status } = JSON.parse(body).response;
    assert.equal(allowed, false);
    assert.equal(
      status.message,
      "Cannot make a token while its pod cannot be read: Cannot reach the API server",
    );
  });
});

describe("POST /mutate", () => {
  it("patches a pod whose ServiceAccount has a role", async () => {
    await using served = await serve();
    const { status, headers, body } = await served.send({ body: asJson });
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
    await using served = await serve({
      stateOf: async (namespace, name) => {
        asked.push(`${namespace}/${name}`);
        return { status: "service-account-not-found" };
      },
    });
    const { body } = await served.send({ body: asJson });
    assert.deepEqual(asked, ["team/app"]);
    assert.deepEqual(JSON.parse(body).response, {
      uid: "u-1",
      allowed: true,
      auditAnnotations: { decision: "unchanged", reason: "service-account-not-found" },
      warnings: ["Pod gets no AWS identity: its ServiceAccount does not exist"],
    });
  });

  it("asks for none when the pod names none", async () => {
    await using served = await serve({
      stateOf: () => assert.fail("a ServiceAccount was asked for"),
    });
    const object = { spec: { containers: [{ name: "app" }] } };
    const body = JSON.stringify({ request: { ...review.request, object } });
    assert.equal(
      JSON.parse((await served.send({ body })).body).response.auditAnnotations.reason,
      "no-service-account",
    );
  });

  for (const contentType of [
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    "Application/JSON",
  ]) {
    it(`takes ${contentType}`, async () => {
      await using served = await serve();
      const headers = { "content-type": contentType };
      assert.equal((await served.send({ headers, body: asJson })).status, 200);
    });
  }

  for (const headers of [
    {},
    { "content-type": "" },
    { "content-type": "text/plain" },
    { "content-type": "application/jsonp" },
    { "content-type": "application/yaml" },
    { "content-type": "text/plain; application/json" },
  ]) {
    it(`answers 415 to the type ${JSON.stringify(headers)}`, async () => {
      await using served = await serve();
      const answer = await served.send({ headers, body: asJson });
      assert.equal(answer.status, 415);
      assert.equal(answer.body, "Invalid Content-Type, expected `application/json`\n");
      assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
      await assertAlive(served);
    });
  }

  for (const [name, body, response] of [
    ["an empty body", "", { uid: "", message: "bad content" }],
    ["null", "null", { uid: "", message: "bad content" }],
    ["{}", "{}", { uid: "", message: "bad content" }],
    ["a null request", '{"request":null}', { uid: "", message: "bad content" }],
    ["a bare pod", JSON.stringify(pod), { uid: "", message: "bad content" }],
    [
      "cut-off JSON",
      asJson.slice(0, -1),
      {
        uid: "",
        message: `couldn't get version/kind; json parse error: the body of ${asJson.length - 1} characters is no JSON`,
      },
    ],
    [
      "no pod",
      '{"request":{"uid":"u-2","object":5}}',
      {
        uid: "u-2",
        message:
          "Cannot read the object as a Pod: the object: Invalid input: expected object, received number",
      },
    ],
  ] as const) {
    it(`answers 200 and does not allow ${name}, and lives`, async () => {
      await using served = await serve();
      const answer = await served.send({ body });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "application/json");
      const { uid, message } = response;
      assert.deepEqual(JSON.parse(answer.body), {
        response: { uid, allowed: false, status: { metadata: {}, message } },
      });
      await assertAlive(served);
    });
  }

  for (const [bytes, status] of [
    [BODY_LIMIT_BYTES, 200],
    [BODY_LIMIT_BYTES + 1, 413],
    [4 * 1024 * 1024, 413],
    [4 * BODY_LIMIT_BYTES, 413],
  ] as const) {
    it(`answers ${status} to ${bytes} bytes, and lives`, async () => {
      await using served = await serve();
      const answer = await served.send({ body: asJson.padEnd(bytes) });
      assert.equal(answer.status, status);
      if (status === 413) {
        assert.match(answer.body, /larger than 3145728 bytes/);
        assert.match(String(answer.headers["content-type"]), /^text\/plain/);
      }
      await assertAlive(served);
    });
  }

  it("does not read a body without end to its end, and lives", async () => {
    await using served = await serve();
    const { host, port, ca } = { host: "127.0.0.1", port: served.port, ca: served.ca };
    const req = httpsRequest({ host, port, ca, method: "POST", path: "/mutate", agent: false });
    req.setHeader("content-type", "application/json");
    // The server closes while more is being sent, which is what this is about.
    req.on("error", () => {});
    const chunk = Buffer.alloc(1024 * 1024, " ");
    let closed = false;
    req.on("close", () => (closed = true));
    req.on("response", (res) => res.resume());
    const feed = (): void => void (closed || req.write(chunk, feed));
    feed();
    await until("the server closes the connection", () => closed);
    await assertAlive(served);
  });

  it("lives when a client goes away in the middle of a body", async () => {
    await using served = await serve();
    const socket = tlsConnect({ host: "127.0.0.1", port: served.port, ca: served.ca });
    await once(socket, "secureConnect");
    const head = "POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    socket.write(`${head}Content-Length: 1000\r\n\r\n{"request":`);
    socket.end();
    socket.resume();
    await once(socket, "close");
    await until("it was refused", () => served.log.length > 0);
    assert.match(String(served.log[0]?.["reason"]), /its body is cut off/);
    await assertAlive(served);
  });

  it("answers a bare 500 when something unforeseen is thrown, and lives", async () => {
    let broken = true;
    await using served = await serve({
      stateOf: async () => {
        if (broken) throw new Error("secret detail");
        return { status: "found", annotations: { "eks.amazonaws.com/role-arn": ROLE_ARN } };
      },
    });
    const answer = await served.send({ body: asJson });
    assert.deepEqual([answer.status, answer.body], [500, "internal error\n"]);
    broken = false;
    await assertAlive(served);
  });

  it("takes no other method", async () => {
    await using served = await serve();
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await served.send({ method, body: asJson });
      assert.deepEqual([answer.status, answer.headers["allow"]], [405, "POST"]);
    }
  });

  it("logs one line a review, without the pod", async () => {
    await using served = await serve();
    await served.send({ body: asJson });
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
    await using served = await serve();
    await served.send({ body: asJson });
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

describe("POST /mutate/required", () => {
  it("patches like the other tier, and keeps SDKs from the node's role besides", async () => {
    await using served = await serve();
    const operations = async (path: string): Promise<readonly object[]> => {
      const { response } = JSON.parse((await served.send({ path, body: asJson })).body);
      return JSON.parse(Buffer.from(response.patch, "base64").toString());
    };
    const block = {
      op: "add",
      path: "/spec/containers/0/env/-",
      value: { name: "AWS_EC2_METADATA_DISABLED", value: "true" },
    };
    const [required, enabled] = [await operations("/mutate/required"), await operations("/mutate")];
    assert.deepEqual(required.toSpliced(3, 1), enabled);
    assert.deepEqual(required[3], block);
  });

  for (const [name, deps, reason, problem] of [
    [
      "whose ServiceAccount does not exist",
      { stateOf: async () => ({ status: "service-account-not-found" }) },
      "service-account-not-found",
      'ServiceAccount "app" does not exist: create it, or name another in spec.serviceAccountName',
    ],
    [
      "whose namespace could not be read",
      { policyOf: async () => undefined },
      "namespace-unavailable",
      "its namespace could not be read: try again; the log of the webhook says why",
    ],
    [
      "whose role its namespace does not allow",
      { policyOf: async () => ({ allowedRoles: [] }) },
      "role-not-allowed",
      `role ${ROLE_ARN} is not in the namespace's irsa-anywhere.io/allowed-roles, which allows none: have it added there`,
    ],
  ] as const satisfies readonly (readonly [string, Partial<AppDeps>, string, string])[]) {
    it(`refuses a pod ${name}; the other path lets it pass with a warning`, async () => {
      await using served = await serve(deps);
      const refused = JSON.parse(
        (await served.send({ path: "/mutate/required", body: asJson })).body,
      ).response;
      assert.deepEqual([refused.uid, refused.allowed, refused.patch], ["u-1", false, undefined]);
      assert.equal(refused.auditAnnotations.decision, "denied");
      assert.equal(refused.auditAnnotations.reason, reason);
      const since = "Pod refused, since its namespace has irsa-anywhere.io/injection=required";
      assert.equal(refused.status.message, `${since}: ${problem}`);
      assert.deepEqual([refused.status.code, refused.status.reason], [403, "Forbidden"]);

      const passed = JSON.parse((await served.send({ body: asJson })).body).response;
      assert.deepEqual([passed.allowed, passed.patch], [true, undefined]);
      assert.equal(passed.auditAnnotations.reason, reason);
      assert.equal(passed.warnings.length, 1);

      assert.deepEqual(
        served.log.map(({ tier, decision }) => [tier, decision]),
        [
          ["required", "denied"],
          ["enabled", "unchanged"],
        ],
      );
      const counted = `irsa_webhook_reviews_total{outcome="denied",reason="${reason}"} 1\n`;
      assert.ok((await served.registry.metrics()).includes(counted));
    });
  }

  it("asks nobody about a pod that names no ServiceAccount, and lets it pass", async () => {
    await using served = await serve({
      stateOf: () => assert.fail("a ServiceAccount was asked for"),
      policyOf: () => assert.fail("a namespace was asked for"),
    });
    const object = { spec: { containers: [{ name: "app" }] } };
    const body = JSON.stringify({ request: { ...review.request, object } });
    const { response } = JSON.parse((await served.send({ path: "/mutate/required", body })).body);
    assert.deepEqual([response.allowed, response.warnings], [true, undefined]);
  });
});

describe("POST /validate", () => {
  const key = "eks.amazon.com/role-arn";
  const warning = `annotation ${key} is not read: write eks.amazonaws.com/role-arn`;
  const request = {
    uid: "u-3",
    namespace: "team",
    operation: "CREATE",
    resource: { group: "", version: "v1", resource: "serviceaccounts" },
    object: { kind: "ServiceAccount", metadata: { name: "app", annotations: { [key]: ROLE_ARN } } },
  };
  const body = JSON.stringify({ ...review, request });

  it("warns of a mistake, logs it and counts it", async () => {
    await using served = await serve();
    const { response } = JSON.parse((await served.send({ path: "/validate", body })).body);
    assert.deepEqual(response, {
      uid: "u-3",
      allowed: true,
      auditAnnotations: { decision: "warned" },
      warnings: [warning],
    });
    const [line] = served.log;
    assert.deepEqual([line?.["msg"], line?.["problems"]], ["Found mistakes", [warning]]);
    const counted = 'irsa_webhook_validations_total{outcome="warned"} 1\n';
    assert.ok((await served.registry.metrics()).includes(counted));
  });

  it("denies it on demand", async () => {
    await using served = await serve({ validation: "deny" });
    const { response } = JSON.parse((await served.send({ path: "/validate", body })).body);
    assert.deepEqual([response.allowed, response.status.message], [false, warning]);
  });

  it("judges the role by the policy of its namespace", async () => {
    await using served = await serve({ policyOf: async () => ({ allowedRoles: [] }) });
    const annotations = { "eks.amazonaws.com/role-arn": ROLE_ARN };
    const object = { metadata: { annotations } };
    const { response } = JSON.parse(
      (
        await served.send({
          path: "/validate",
          body: JSON.stringify({ request: { ...request, object } }),
        })
      ).body,
    );
    assert.match(response.warnings[0], /is not in the namespace's irsa-anywhere.io\/allowed-roles/);
  });

  it("answers what is no review as the other paths do", async () => {
    await using served = await serve();
    const { response } = JSON.parse((await served.send({ path: "/validate", body: "{}" })).body);
    assert.deepEqual([response.allowed, response.status.message], [false, "bad content"]);
    assert.equal((await served.send({ path: "/validate", method: "GET" })).status, 405);
  });
});

describe("probes", () => {
  it("says that it lives, and whether it is ready and why not, without a log line", async () => {
    let problem: string | undefined = "ServiceAccounts are not listed yet";
    await using served = await serve({ notReadyBecause: () => problem });
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
