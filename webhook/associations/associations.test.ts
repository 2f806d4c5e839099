import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { startObjectServer, type ObjectServer } from "../../test/fakes/object-server.ts";
import { until } from "../../test/fakes/until.ts";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { MAX_CONTENT_LENGTH } from "./associations-text.ts";
import { webhookConfig } from "../config.ts";
import { CONTAINER_CREDENTIALS_POLL_MS } from "./container-credentials-file.ts";
import { CERTIFICATE_POLL_MS } from "../tls/serving-certificate.ts";
import { startWebhook } from "../main.ts";

// The whole webhook with both configurations: what a pod gets while they change, also for the worse.

const CONFIG_MAP = "/api/v1/namespaces/eks/configmaps/pod-identity-webhook";
const SERVICE_ACCOUNTS = "/api/v1/namespaces/team/serviceaccounts";
const role = (name: string): string => `arn:aws:iam::111122223333:role/${name}`;
const entries = (name: string): string => JSON.stringify({ "team/*": { RoleARN: role(name) } });
const identities = (...names: readonly string[]): string =>
  JSON.stringify({
    identities: names.map((serviceAccount) => ({ namespace: "team", serviceAccount })),
  });

/** What is wrong with both kinds of content, and, by its own text, with each. */
const BAD_CONTENTS: readonly { name: string; config: string; file: string }[] = [
  { name: "cut-off JSON", config: entries("x").slice(0, -2), file: identities("x").slice(0, -2) },
  { name: "no JSON at all", config: "hello: s3cret", file: "hello: s3cret" },
  { name: "a list", config: "[]", file: "[]" },
  { name: "null", config: "null", file: "null" },
  { name: "a number", config: "17", file: "17" },
  {
    name: "a key without a slash, an identity that is a text",
    config: '{"app": {"RoleARN": "x"}}',
    file: '{"identities": ["team/app"]}',
  },
  { name: "a null entry", config: '{"team/app": null}', file: '{"identities": [null]}' },
  {
    name: "wrong types",
    config: '{"team/app": {"RoleARN": 5, "TokenExpiration": "1h"}}',
    file: '{"identities": {"namespace": "team"}}',
  },
  { name: "bytes that are no text", config: "\u0000\ufffd{", file: "\u0000\ufffd{" },
  {
    name: "more than can be",
    config: `{"team/app": {"RoleARN": "${"x".repeat(MAX_CONTENT_LENGTH)}"}}`,
    file: `{"identities": [], "x": "${"x".repeat(MAX_CONTENT_LENGTH)}"}`,
  },
  { name: "nesting without end", config: "[".repeat(200_000), file: "[".repeat(200_000) },
];

interface Setting extends AsyncDisposable {
  readonly server: ObjectServer;
  /** The folder of the mounted configuration. */
  readonly folder: string;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly ready: Promise<void>;
  putConfig(config: string | undefined): void;
  /** Writes the file in place. */
  write(content: string): Promise<void>;
  /** Lets the time pass until a review has its answer. */
  passUntil(answer: Promise<string>): Promise<void>;
  /** Lets the time pass until the file is read again. */
  poll(): Promise<void>;
  /** Where the identity of a pod comes from: its role, `container-credentials`, or the reason. */
  review(serviceAccount: string): Promise<string>;
  get(path: string): Promise<readonly [number, string]>;
  errors(source: string): Promise<number>;
}

async function setUp(
  before: (server: ObjectServer, folder: string) => Promise<void> = async () => {},
): Promise<Setting> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "irsa-associations-"));
  stack.defer(() => rm(folder, { recursive: true }));
  const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  const authority = await createAuthority("Test CA", validity);
  const { cert, key } = await issueServingCertificate(authority, ["127.0.0.1"], validity);
  const [certFile, keyFile] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  await Promise.all([writeFile(certFile, cert), writeFile(keyFile, key)]);

  const server = stack.use(await startObjectServer());
  server.put("/api/v1/namespaces/team", { metadata: {} });
  for (const name of ["app", "own"]) {
    const annotations = name === "own" ? { "eks.amazonaws.com/role-arn": role("own") } : {};
    server.put(`${SERVICE_ACCOUNTS}/${name}`, { metadata: { annotations } });
  }
  await before(server, folder);
  const { log, lines } = createCollectedLog();
  const registry = new Registry();
  const clock = createMovedClock();
  const flags = [
    "--host=127.0.0.1",
    "--port=0",
    "--metrics-port=0",
    "--drain-seconds=0",
    "--in-cluster=false",
    `--kube-api=${server.url}`,
    `--tls-cert=${certFile}`,
    `--tls-key=${keyFile}`,
    "--watch-config-map",
    `--watch-container-credentials-config=${join(folder, "identities.json")}`,
  ];
  const webhook = stack.use(
    await startWebhook(webhookConfig.parse(flags, {}), { env: {}, log, registry, clock }),
  );
  const ask = async (path: string, body: string): Promise<readonly [number, string]> => {
    const req = httpsRequest({
      host: "127.0.0.1",
      port: webhook.port,
      ca: authority.cert,
      agent: false,
      path,
      method: body === "" ? "GET" : "POST",
      headers: { "content-type": "application/json" },
    });
    req.end(body);
    const [res] = await once(req, "response");
    return [res.statusCode, await text(res)];
  };
  const running = stack.move();
  return {
    server,
    folder,
    log: lines,
    ready: webhook.whenReady,
    putConfig: (config) =>
      server.put(CONFIG_MAP, { data: config === undefined ? { other: "" } : { config } }),
    write: (content) => writeFile(join(folder, "identities.json"), content),
    async passUntil(answer) {
      let isOver = false;
      const over = answer.finally(() => {
        isOver = true;
      });
      await until("the review is answered", () => {
        if (!isOver) clock.advance(100);
        return isOver;
      });
      await over;
    },
    async poll() {
      const waits = (): boolean => clock.sleepers().includes(CONTAINER_CREDENTIALS_POLL_MS);
      await until("somebody waits for the file", waits);
      // Long enough to wake whoever waits for the certificate, too: nobody is left half awake.
      clock.advance(CERTIFICATE_POLL_MS);
      await until("it was read", waits);
    },
    async review(serviceAccountName) {
      const object = { spec: { serviceAccountName, containers: [{ name: "app" }] } };
      const request = { uid: "u", namespace: "team", object };
      const [status, answer] = await ask("/mutate", JSON.stringify({ request }));
      assert.equal(status, 200);
      const { patch = "", auditAnnotations } = JSON.parse(answer).response;
      const operations = Buffer.from(patch, "base64").toString();
      if (operations.includes("AWS_CONTAINER_CREDENTIALS_FULL_URI")) return "container-credentials";
      return auditAnnotations["role-arn"] ?? auditAnnotations.reason;
    },
    get: (path) => ask(path, ""),
    async errors(source) {
      const metric = registry.getSingleMetric("irsa_webhook_config_errors_total");
      const values = (await metric?.get())?.values ?? [];
      return values.find(({ labels }) => labels["source"] === source)?.value ?? 0;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const told = ({ log }: Setting): readonly string[] =>
  log.flatMap(({ msg, err }) =>
    msg === "Cannot use a configuration, keeping the last good one" ? [String(err)] : [],
  );

describe("the ConfigMap of roles", () => {
  it("gives roles in the order of precedence", async () => {
    await using t = await setUp(async (server, folder) => {
      const config = JSON.stringify({
        "team/*": { RoleARN: role("any") },
        "team/app": { RoleARN: role("exact") },
        "team/own": { RoleARN: role("not-used") },
      });
      server.put(CONFIG_MAP, { data: { config } });
      await writeFile(join(folder, "identities.json"), identities("cc"));
    });
    await t.ready;
    for (const name of ["cc", "other"]) t.server.put(`${SERVICE_ACCOUNTS}/${name}`, {});
    assert.equal(await t.review("own"), role("own"));
    assert.equal(await t.review("app"), role("exact"));
    assert.equal(await t.review("other"), role("any"));
    assert.equal(await t.review("cc"), "container-credentials");
  });

  it("is followed: changed, deleted, made again", async () => {
    await using t = await setUp();
    await t.ready;
    assert.equal(await t.review("app"), "no-role-arn");
    const becomes = (wanted: string): Promise<void> =>
      until(`it gives ${wanted}`, async () => (await t.review("app")) === wanted);
    t.putConfig(entries("first"));
    await becomes(role("first"));
    t.putConfig(entries("second"));
    await becomes(role("second"));
    t.server.remove(CONFIG_MAP);
    await becomes("no-role-arn");
    t.putConfig(entries("third"));
    await becomes(role("third"));
    t.putConfig("");
    await becomes("no-role-arn");
    assert.equal(await t.errors("config-map"), 0);
  });

  it("keeps its last good content whatever comes, tells each time, and goes on", async () => {
    await using t = await setUp(async (server) => {
      server.put(CONFIG_MAP, { data: { config: entries("good") } });
    });
    await t.ready;
    const contents = [...BAD_CONTENTS, { name: "no config at all", config: undefined }];
    for (const [i, { name, config }] of contents.entries()) {
      t.putConfig(config);
      await until(`${name} is told`, async () => (await t.errors("config-map")) === i + 1);
      assert.equal(told(t).length, i + 1, name);
      assert.equal(await t.review("app"), role("good"), name);
      assert.equal(await t.review("own"), role("own"), name);
    }
    assert.ok(told(t).every((line) => !line.includes("s3cret")));
    t.putConfig(entries("mended"));
    await until("the good one is used", async () => (await t.review("app")) === role("mended"));
  });

  it("makes the webhook ready only when it is read, and is waited for", async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await using t = await setUp(async (server) => {
      server.put(CONFIG_MAP, { data: { config: entries("good") } });
      server.faultOf = ({ path }) =>
        path.endsWith("/configmaps") ? { kind: "hold", until: released } : undefined;
    });
    await until("the ServiceAccounts are listed", async () =>
      (await t.get("/readyz"))[1].startsWith("the ConfigMap"),
    );
    assert.deepEqual(await t.get("/readyz"), [503, "the ConfigMap is not read yet\n"]);
    const early = t.review("app");
    release();
    assert.equal(await early, role("good"));
    await t.ready;
    assert.deepEqual(await t.get("/readyz"), [200, "ok\n"]);
  });

  it("is bad from the start: who gets no role elsewhere is told that nothing is known", async () => {
    await using t = await setUp(async (server) => {
      server.put(CONFIG_MAP, { data: { config: "{" } });
    });
    await t.ready;
    assert.equal(await t.review("app"), "configuration-unavailable");
    assert.equal(await t.review("own"), role("own"));
    t.putConfig(entries("mended"));
    await until("the good one is used", async () => (await t.review("app")) === role("mended"));
  });

  it("is not read in time: who gets no role elsewhere is told that nothing is known", async () => {
    await using t = await setUp(async (server) => {
      server.faultOf = ({ path }) =>
        path.endsWith("/configmaps") ? { kind: "status", status: 403 } : undefined;
    });
    const early = t.review("app");
    await t.passUntil(early);
    assert.equal(await early, "configuration-unavailable");
  });

  it("is asked for alone", async () => {
    await using t = await setUp();
    await t.ready;
    const paths = t.server.requests.map(({ path }) => path);
    assert.ok(paths.includes("/api/v1/namespaces/eks/configmaps"));
    assert.ok(!paths.includes("/api/v1/configmaps"));
  });
});

/** Writes a file and swaps the link to its folder, as kubelet does. */
async function publish(folder: string, version: string, content: string): Promise<void> {
  await mkdir(join(folder, version));
  await writeFile(join(folder, version, "identities.json"), content);
  await symlink(version, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
}

describe("the container-credentials file", () => {
  it("is read often enough to be seen within a second", () => {
    assert.ok(CONTAINER_CREDENTIALS_POLL_MS <= 500);
  });

  it("may be missing, come, change in place, and go", async () => {
    await using t = await setUp();
    await t.ready;
    assert.equal(await t.review("app"), "no-role-arn");
    await t.write(identities("app"));
    await t.poll();
    assert.equal(await t.review("app"), "container-credentials");
    await t.write(identities("own"));
    await t.poll();
    assert.equal(await t.review("own"), "container-credentials");
    assert.equal(await t.review("app"), "no-role-arn");
    await rm(join(t.folder, "identities.json"));
    await t.poll();
    assert.equal(await t.review("own"), role("own"));
    assert.equal(await t.errors("container-credentials"), 0);
  });

  it("is followed through the ..data link of a mounted ConfigMap", async () => {
    await using t = await setUp(async (_server, folder) => {
      await publish(folder, "..2026_01", identities("app"));
      await symlink(join("..data", "identities.json"), join(folder, "identities.json"));
    });
    await t.ready;
    assert.equal(await t.review("app"), "container-credentials");
    await publish(t.folder, "..2026_02", identities("own"));
    await rm(join(t.folder, "..2026_01"), { recursive: true });
    await t.poll();
    assert.equal(await t.review("own"), "container-credentials");
    assert.equal(await t.review("app"), "no-role-arn");
  });

  it("keeps its last good content whatever comes, tells each time, and goes on", async () => {
    await using t = await setUp(async (_server, folder) => {
      await writeFile(join(folder, "identities.json"), identities("app"));
    });
    await t.ready;
    for (const [i, { name, file }] of BAD_CONTENTS.entries()) {
      await t.write(file);
      await t.poll();
      assert.equal(await t.errors("container-credentials"), i + 1, name);
      assert.equal(told(t).length, i + 1, name);
      assert.equal(await t.review("app"), "container-credentials", name);
    }
    await t.poll();
    assert.equal(told(t).length, BAD_CONTENTS.length, "the same one is told once");
    assert.ok(told(t).every((line) => !line.includes("s3cret")));
    await t.write(identities("own"));
    await t.poll();
    assert.equal(await t.review("own"), "container-credentials");
    assert.equal(await t.review("app"), "no-role-arn");
  });

  it("does not keep the webhook from starting when it is bad, and is used once it is good", async () => {
    await using t = await setUp(async (_server, folder) => {
      await mkdir(join(folder, "identities.json"));
    });
    await t.ready;
    assert.equal(await t.errors("container-credentials"), 1);
    assert.equal(await t.review("own"), role("own"));
    assert.equal(await t.review("app"), "configuration-unavailable");
    t.putConfig(entries("any"));
    await until("the ConfigMap is used", async () => (await t.review("app")) === role("any"));
    await rm(join(t.folder, "identities.json"), { recursive: true });
    await t.write(identities("own"));
    await t.poll();
    assert.equal(await t.review("own"), "container-credentials");
  });
});
