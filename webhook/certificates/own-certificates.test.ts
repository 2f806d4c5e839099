import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import {
  ADMISSION,
  configuration,
  DAY_MS,
  isReady,
  LEASE,
  metric,
  MUTATING,
  pass,
  SECRET,
  SECRETS,
  startCertificateWorld,
  START_MS,
  STARTED,
  VALIDATING,
  type CertificateWorld,
} from "../../test/fakes/certificate-world.ts";
import { until } from "../../test/fakes/until.ts";
import { REPAIR_INTERVAL_MS } from "./ca-bundles.ts";
import { caBundleOf } from "./certificate-state.ts";
import { afterStep } from "./make-certificates.ts";
import { secretDataOf } from "./secret-data.ts";

/** As pino counts. */
const WARN = 40;

let world: CertificateWorld;
beforeEach(async () => {
  world = await startCertificateWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

describe("startOwnCertificates", () => {
  it("makes a CA and a certificate, and has them trusted, at the first start", async () => {
    world.server.put(MUTATING, configuration(undefined, "b2xk"));
    world.server.put(VALIDATING, configuration(undefined));
    const a = world.startReplica("a");
    assert.equal(a.own.notReadyBecause(), "Secret eks/webhook-tls is not read yet");
    await a.own.whenReady;
    const state = world.storedState();
    assert.deepEqual(a.served, [state.serving]);
    const bundle = caBundleOf(state);
    assert.deepEqual(world.storedBundles(MUTATING), [bundle, bundle]);
    assert.deepEqual(world.storedBundles(VALIDATING), [bundle]);
    const secret = world.server.objects.get(SECRET);
    assert.deepEqual([secret?.["kind"], secret?.["type"]], ["Secret", "kubernetes.io/tls"]);
    assert.equal(await metric(a, "certificate_rotations_total"), 1);
    assert.equal(await metric(a, "ca_bundle_repairs_total"), 2);
    const caExpiry = await metric(a, "ca_expiry_timestamp_seconds");
    assert.equal(caExpiry, (START_MS + 30 * DAY_MS) / 1000);
  });

  it("fills a Secret and a Lease that were made empty for it, without complaint and without creating", async () => {
    world.server.put(MUTATING, configuration(undefined));
    world.server.put(SECRET, { metadata: { labels: { app: "irsa" } }, type: "Opaque" });
    world.server.put(LEASE, { metadata: { labels: { app: "irsa" } } });
    const a = world.startReplica("a");
    await a.own.whenReady;
    assert.deepEqual(a.served, [world.storedState().serving]);
    assert.equal(world.server.objects.get(SECRET)?.["type"], "Opaque");
    assert.equal(a.lease.held, true);
    assert.ok(!world.server.requests.some(({ method }) => method === "POST"));
    assert.deepEqual(
      a.lines.filter(({ level }) => Number(level) >= WARN),
      [],
    );
  });

  it("touches nothing of a configuration but the bundles", async () => {
    world.server.put(MUTATING, configuration(undefined, undefined));
    const a = world.startReplica("a");
    await a.own.whenReady;
    const bundle = Buffer.from(caBundleOf(world.storedState())).toString("base64");
    const { metadata, ...stored } = world.server.objects.get(MUTATING) ?? assert.fail();
    const { resourceVersion: _version, name: _name, ...ownMetadata } = metadata;
    assert.deepEqual({ metadata: ownMetadata, ...stored }, configuration(bundle, bundle));
  });

  it("lets one of two that start at once make them, and the other serve the same", async () => {
    world.server.put(MUTATING, configuration(undefined));
    const [a, b] = [world.startReplica("a"), world.startReplica("b")];
    await Promise.all([a.own.whenReady, b.own.whenReady]);
    assert.deepEqual(a.served, b.served);
    assert.equal(a.served.length, 1);
    const writes = world.server.requests.filter(
      ({ method, path }) => method !== "GET" && path.startsWith(SECRETS),
    );
    assert.equal(writes.length, 1);
  });

  it("takes over what is there, without writing anything", async () => {
    const state = await afterStep("create", undefined, STARTED);
    world.server.put(SECRET, { data: secretDataOf(state) });
    world.server.put(MUTATING, configuration(Buffer.from(caBundleOf(state)).toString("base64")));
    const a = world.startReplica("a", { startMs: START_MS + DAY_MS });
    await a.own.whenReady;
    await until("it holds the lease", () => a.lease.held);
    assert.deepEqual(a.served, [state.serving]);
    const writes = world.server.requests.filter(
      ({ method, path }) => method !== "GET" && !path.includes("/leases"),
    );
    assert.deepEqual(writes, []);
  });

  it("is not ready without a configuration, or when that trusts something else", async () => {
    const a = world.startReplica("a");
    const missing = "MutatingWebhookConfiguration irsa-anywhere does not exist";
    await until("it is missing", () => a.own.notReadyBecause() === missing);
    await until("a Secret is there", () => world.server.objects.has(SECRET));
    world.server.faultOf = ({ method }) =>
      method === "PATCH" ? { kind: "status", status: 403 } : undefined;
    world.server.put(MUTATING, configuration("b2xk"));
    await until("it is distrusted", () =>
      /w0\.irsa-anywhere\.io does not trust/.test(a.own.notReadyBecause() ?? ""),
    );
    const told = (): boolean =>
      a.lines.some(({ problem }) =>
        /Cannot set the CA bundle of Mutating.* answered 403/.test(String(problem)),
      );
    await until("the refusal is told", told);
    world.server.faultOf = () => undefined;
    await pass("it is ready", () => isReady(a), a);
    await a.own.whenReady;
  });

  it("leaves configurations alone when none is named, and is ready with its certificate", async () => {
    world.server.put(MUTATING, configuration("b2xk"));
    const a = world.startReplica("a", { webhookConfigurations: [] });
    await a.own.whenReady;
    assert.deepEqual(world.storedBundles(MUTATING), ["old"]);
    assert.ok(!world.server.requests.some(({ path }) => path.startsWith(ADMISSION)));
  });

  it("repairs a bundle that is changed, no more than once a second", async () => {
    world.server.put(MUTATING, configuration(undefined));
    const a = world.startReplica("a");
    await a.own.whenReady;
    const bundle = caBundleOf(world.storedState());
    world.server.put(MUTATING, configuration("b2xk"));
    await until("it is seen", () => !isReady(a));
    const patches = (): number =>
      world.server.requests.filter(({ method }) => method === "PATCH").length;
    assert.equal(patches(), 1);
    a.clock.advance(REPAIR_INTERVAL_MS);
    await until("it is repaired", () => isReady(a));
    assert.deepEqual(world.storedBundles(MUTATING), [bundle]);
    assert.equal(patches(), 2);
    assert.equal(await metric(a, "ca_bundle_repairs_total"), 2);
  });

  it("warns of nothing when a configuration was changed before its event came", async () => {
    world.server.put(MUTATING, configuration(undefined));
    let isFirst = true;
    world.server.faultOf = ({ method }) => {
      if (method === "PATCH" && isFirst) {
        isFirst = false;
        world.server.put(MUTATING, configuration(undefined, undefined));
      }
      return undefined;
    };
    const a = world.startReplica("a");
    await a.own.whenReady;
    const bundle = caBundleOf(world.storedState());
    assert.deepEqual(world.storedBundles(MUTATING), [bundle, bundle]);
    assert.equal(await metric(a, "ca_bundle_repairs_total"), 1);
    assert.deepEqual(
      a.lines.filter(({ msg }) => msg === "Cannot rotate"),
      [],
    );
  });

  it("tells when the API server finds a configuration invalid", async () => {
    world.server.put(MUTATING, configuration(undefined));
    world.server.faultOf = ({ method }) =>
      method === "PATCH" ? { kind: "status", status: 422 } : undefined;
    const a = world.startReplica("a");
    const problems = (): readonly unknown[] => a.lines.map(({ problem }) => String(problem));
    await until("it is told", () => problems().some((problem) => /422/.test(String(problem))));
  });

  for (const [name, spoil] of [
    ["deleted", () => world.server.remove(SECRET)],
    ["emptied", () => world.server.put(SECRET, { data: {} })],
    ["edited to garbage", () => world.server.put(SECRET, { data: { "tls.crt": "Z2FyYmFnZQ==" } })],
    ["of no data at all", () => world.server.put(SECRET, { data: "text" })],
  ] as const) {
    it(`serves on and writes back when the Secret is ${name}`, async () => {
      world.server.put(MUTATING, configuration(undefined));
      const [a, b] = [world.startReplica("a"), world.startReplica("b")];
      await Promise.all([a.own.whenReady, b.own.whenReady]);
      const before = world.storedState();
      const seen = world.server.requests.length;
      spoil();
      await until("it is written", () =>
        world.server.requests
          .slice(seen)
          .some(({ method, path }) => method !== "GET" && path.startsWith(SECRETS)),
      );
      await until("it is whole", () => world.server.objects.get(SECRET)?.["data"] !== undefined);
      assert.deepEqual(world.storedState(), before);
      assert.deepEqual([isReady(a), isReady(b)], [true, true]);
      assert.deepEqual([a.served.length, b.served.length], [1, 1]);
      assert.doesNotMatch(JSON.stringify([a.lines, b.lines]), /PRIVATE KEY|LS0tLS1CRUdJTiBSU0Eg/);
    });
  }

  it("keeps labels and the type of a Secret that it writes over", async () => {
    world.server.put(MUTATING, configuration(undefined));
    world.server.put(SECRET, { metadata: { labels: { team: "x" } }, type: "Opaque", data: {} });
    const a = world.startReplica("a");
    await a.own.whenReady;
    const secret = world.server.objects.get(SECRET);
    assert.deepEqual([secret?.metadata["labels"], secret?.["type"]], [{ team: "x" }, "Opaque"]);
  });

  it("does not write a Secret of cert-manager, and says so", async () => {
    const annotations = { "cert-manager.io/certificate-name": "webhook" };
    world.server.put(SECRET, { metadata: { annotations }, data: {} });
    world.server.put(MUTATING, configuration(undefined));
    const a = world.startReplica("a");
    await until("it is told", () =>
      a.lines.some(({ problem }) => /belongs to cert-manager/.test(String(problem))),
    );
    assert.deepEqual(world.server.objects.get(SECRET)?.["data"], {});
    assert.equal(a.own.notReadyBecause(), "Secret eks/webhook-tls holds no certificates yet");
  });

  it("says which right it lacks, and goes on when it has it", async () => {
    world.server.put(MUTATING, configuration(undefined));
    world.server.faultOf = ({ path, method }) =>
      path.startsWith(SECRETS) && method === "POST" ? { kind: "status", status: 403 } : undefined;
    const a = world.startReplica("a");
    const told = (): readonly unknown[] =>
      a.lines.filter(({ msg, level }) => msg === "Cannot rotate" && level === 40);
    await until("it is told", () => told().length > 0);
    await pass("it has tried again", () => a.clock.now() > START_MS + 8000, a);
    assert.deepEqual(
      told().map((line) => (line as { problem: string }).problem),
      ["Cannot write Secret eks/webhook-tls: the API server answered 403: asked to fail"],
    );
    world.server.faultOf = () => undefined;
    await pass("it is ready", () => isReady(a), a);
  });

  it("rejects who waits for it when it is stopped", async () => {
    const a = world.startReplica("a");
    await a.own[Symbol.asyncDispose]();
    await assert.rejects(a.own.whenReady, { code: "CERTIFICATE_INVALID" });
  });
});
