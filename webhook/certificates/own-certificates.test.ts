import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Registry } from "prom-client";
import { connect } from "../../lib/kube/connection.ts";
import { startLease, type Lease } from "../../lib/kube/lease.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createMovedClock, type MovedClock } from "../../test/fakes/moved-clock.ts";
import { startObjectServer, type ObjectServer } from "../../test/fakes/object-server.ts";
import { until } from "../../test/fakes/until.ts";
import { WebhookConfigurationObject } from "./ca-bundle-patch.ts";
import { REPAIR_INTERVAL_MS } from "./ca-bundles.ts";
import { createCertificateMetrics } from "./certificate-metrics.ts";
import { caBundleOf, expiryMsOf, type CertificateSettings } from "./certificate-state.ts";
import { afterStep } from "./make-certificates.ts";
import { startOwnCertificates, type OwnCertificates } from "./own-certificates.ts";
import { parseSecretData, secretDataOf } from "./secret-data.ts";

const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
const MUTATING = `${ADMISSION}/mutatingwebhookconfigurations/irsa-anywhere`;
const VALIDATING = `${ADMISSION}/validatingwebhookconfigurations/irsa-anywhere`;
const SECRETS = "/api/v1/namespaces/eks/secrets";
const SECRET = `${SECRETS}/webhook-tls`;
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/eks/leases/webhook-tls";
const HOUR_MS = 3_600_000;
/** As pino counts. */
const WARN = 40;
const DAY_MS = 24 * HOUR_MS;
const START_MS = Date.UTC(2026, 0, 1);
const SETTINGS: CertificateSettings = {
  names: ["webhook", "webhook.eks.svc"],
  certificateLifetimeMs: 10 * DAY_MS,
  renewBeforeMs: 3 * DAY_MS,
  caLifetimeMs: 30 * DAY_MS,
  caOverlapMs: DAY_MS,
};

const STARTED = { clock: { now: () => START_MS }, settings: SETTINGS };

interface Replica {
  readonly lease: Lease;
  readonly own: OwnCertificates;
  readonly clock: MovedClock;
  /** All pairs that it was told to serve. */
  readonly served: readonly KeyPair[];
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly registry: Registry;
}

let server: ObjectServer;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  server = stack.use(await startObjectServer());
});
afterEach(() => stack.disposeAsync());

function startReplica(
  name: string,
  { startMs = START_MS, webhookConfigurations = ["irsa-anywhere"] } = {},
): Replica {
  const connection = connect({ kubeApi: `${server.url}/${name}` });
  const clock = createMovedClock(startMs);
  const { log, lines } = createCollectedLog();
  const registry = new Registry();
  const common = { connection, clock, log, namespace: "eks", random: () => 0 };
  const lease = stack.use(startLease({ ...common, name: "webhook-tls", identity: name }));
  const served: KeyPair[] = [];
  const own = stack.use(
    startOwnCertificates({
      ...common,
      lease,
      secretName: "webhook-tls",
      webhookConfigurations,
      settings: SETTINGS,
      metrics: createCertificateMetrics(registry),
      onServing: (pair) => served.push(pair),
    }),
  );
  return { lease, own, clock, served, lines, registry };
}

/** A configuration with some webhooks, and much that is not ours to change. */
function configuration(...bundles: readonly (string | undefined)[]): object {
  return {
    metadata: { labels: { app: "irsa" }, annotations: { note: "by hand" } },
    webhooks: bundles.map((caBundle, i) => ({
      name: `w${i}.irsa-anywhere.io`,
      failurePolicy: "Fail",
      unheardOf: { of: ["fields"] },
      clientConfig: { service: { name: "webhook", namespace: "eks", path: "/mutate" }, caBundle },
    })),
  };
}

function storedBundles(path: string): readonly string[] {
  const { webhooks } = WebhookConfigurationObject.parse(server.objects.get(path));
  return (webhooks ?? []).map(({ clientConfig }) =>
    Buffer.from(clientConfig.caBundle ?? "", "base64").toString("utf8"),
  );
}

function storedState(): ReturnType<typeof parseSecretData> {
  const secret = server.objects.get(SECRET) as { data: Record<string, string> } | undefined;
  assert.ok(secret);
  return parseSecretData(secret.data);
}

/** Lets time go by in steps that lease and rotation live through, until something is so. */
async function pass(
  what: string,
  holds: () => boolean,
  ...replicas: readonly Replica[]
): Promise<void> {
  let turns = 0;
  await until(what, () => {
    turns += 1;
    if (turns % 20 === 0) for (const { clock } of replicas) clock.advance(500);
    return holds();
  });
}

/** Moves the clock far, which the Lease does not survive, and lets the replica win it back. */
async function jump(ms: number, ...replicas: readonly Replica[]): Promise<void> {
  for (const { clock } of replicas) clock.advance(ms);
  await pass(
    "somebody holds the lease",
    () => replicas.some(({ lease }) => lease.held),
    ...replicas,
  );
}

const isReady = ({ own }: Replica): boolean => own.notReadyBecause() === undefined;

async function metric({ registry }: Replica, name: string): Promise<number> {
  const { values } = (await registry.getSingleMetric(`irsa_webhook_${name}`)?.get()) ?? {};
  return (values ?? []).reduce((sum, { value }) => sum + value, 0);
}

describe("startOwnCertificates", () => {
  it("makes a CA and a certificate, and has them trusted, at the first start", async () => {
    server.put(MUTATING, configuration(undefined, "b2xk"));
    server.put(VALIDATING, configuration(undefined));
    const a = startReplica("a");
    assert.equal(a.own.notReadyBecause(), "Secret eks/webhook-tls is not read yet");
    await a.own.whenReady;
    const state = storedState();
    assert.deepEqual(a.served, [state.serving]);
    const bundle = caBundleOf(state);
    assert.deepEqual(storedBundles(MUTATING), [bundle, bundle]);
    assert.deepEqual(storedBundles(VALIDATING), [bundle]);
    const secret = server.objects.get(SECRET);
    assert.deepEqual([secret?.["kind"], secret?.["type"]], ["Secret", "kubernetes.io/tls"]);
    assert.equal(await metric(a, "certificate_rotations_total"), 1);
    assert.equal(await metric(a, "ca_bundle_repairs_total"), 2);
    const caExpiry = await metric(a, "ca_expiry_timestamp_seconds");
    assert.equal(caExpiry, (START_MS + 30 * DAY_MS) / 1000);
  });

  it("fills a Secret and a Lease that were made empty for it, without complaint and without creating", async () => {
    server.put(MUTATING, configuration(undefined));
    server.put(SECRET, { metadata: { labels: { app: "irsa" } }, type: "Opaque" });
    server.put(LEASE, { metadata: { labels: { app: "irsa" } } });
    const a = startReplica("a");
    await a.own.whenReady;
    assert.deepEqual(a.served, [storedState().serving]);
    assert.equal(server.objects.get(SECRET)?.["type"], "Opaque");
    assert.equal(a.lease.held, true);
    assert.ok(!server.requests.some(({ method }) => method === "POST"));
    assert.deepEqual(
      a.lines.filter(({ level }) => Number(level) >= WARN),
      [],
    );
  });

  it("touches nothing of a configuration but the bundles", async () => {
    server.put(MUTATING, configuration(undefined, undefined));
    const a = startReplica("a");
    await a.own.whenReady;
    const bundle = Buffer.from(caBundleOf(storedState())).toString("base64");
    const { metadata, ...stored } = server.objects.get(MUTATING) ?? assert.fail();
    const { resourceVersion: _version, name: _name, ...ownMetadata } = metadata;
    assert.deepEqual({ metadata: ownMetadata, ...stored }, configuration(bundle, bundle));
  });

  it("lets one of two that start at once make them, and the other serve the same", async () => {
    server.put(MUTATING, configuration(undefined));
    const [a, b] = [startReplica("a"), startReplica("b")];
    await Promise.all([a.own.whenReady, b.own.whenReady]);
    assert.deepEqual(a.served, b.served);
    assert.equal(a.served.length, 1);
    const writes = server.requests.filter(
      ({ method, path }) => method !== "GET" && path.startsWith(SECRETS),
    );
    assert.equal(writes.length, 1);
  });

  it("takes over what is there, without writing anything", async () => {
    const state = await afterStep("create", undefined, STARTED);
    server.put(SECRET, { data: secretDataOf(state) });
    server.put(MUTATING, configuration(Buffer.from(caBundleOf(state)).toString("base64")));
    const a = startReplica("a", { startMs: START_MS + DAY_MS });
    await a.own.whenReady;
    await until("it holds the lease", () => a.lease.held);
    assert.deepEqual(a.served, [state.serving]);
    const writes = server.requests.filter(
      ({ method, path }) => method !== "GET" && !path.includes("/leases"),
    );
    assert.deepEqual(writes, []);
  });

  it("is not ready without a configuration, or when that trusts something else", async () => {
    const a = startReplica("a");
    const missing = "MutatingWebhookConfiguration irsa-anywhere does not exist";
    await until("it is missing", () => a.own.notReadyBecause() === missing);
    await until("a Secret is there", () => server.objects.has(SECRET));
    server.faultOf = ({ method }) =>
      method === "PATCH" ? { kind: "status", status: 403 } : undefined;
    server.put(MUTATING, configuration("b2xk"));
    await until("it is distrusted", () =>
      /w0\.irsa-anywhere\.io does not trust/.test(a.own.notReadyBecause() ?? ""),
    );
    const told = (): boolean =>
      a.lines.some(({ problem }) =>
        /Cannot set the CA bundle of Mutating.* answered 403/.test(String(problem)),
      );
    await until("the refusal is told", told);
    server.faultOf = () => undefined;
    await pass("it is ready", () => isReady(a), a);
    await a.own.whenReady;
  });

  it("leaves configurations alone when none is named, and is ready with its certificate", async () => {
    server.put(MUTATING, configuration("b2xk"));
    const a = startReplica("a", { webhookConfigurations: [] });
    await a.own.whenReady;
    assert.deepEqual(storedBundles(MUTATING), ["old"]);
    assert.ok(!server.requests.some(({ path }) => path.startsWith(ADMISSION)));
  });

  it("repairs a bundle that is changed, no more than once a second", async () => {
    server.put(MUTATING, configuration(undefined));
    const a = startReplica("a");
    await a.own.whenReady;
    const bundle = caBundleOf(storedState());
    server.put(MUTATING, configuration("b2xk"));
    await until("it is seen", () => !isReady(a));
    const patches = (): number => server.requests.filter(({ method }) => method === "PATCH").length;
    assert.equal(patches(), 1);
    a.clock.advance(REPAIR_INTERVAL_MS);
    await until("it is repaired", () => isReady(a));
    assert.deepEqual(storedBundles(MUTATING), [bundle]);
    assert.equal(patches(), 2);
    assert.equal(await metric(a, "ca_bundle_repairs_total"), 2);
  });

  it("warns of nothing when a configuration was changed before its event came", async () => {
    server.put(MUTATING, configuration(undefined));
    let isFirst = true;
    server.faultOf = ({ method }) => {
      if (method === "PATCH" && isFirst) {
        isFirst = false;
        server.put(MUTATING, configuration(undefined, undefined));
      }
      return undefined;
    };
    const a = startReplica("a");
    await a.own.whenReady;
    const bundle = caBundleOf(storedState());
    assert.deepEqual(storedBundles(MUTATING), [bundle, bundle]);
    assert.equal(await metric(a, "ca_bundle_repairs_total"), 1);
    assert.deepEqual(
      a.lines.filter(({ msg }) => msg === "Cannot rotate"),
      [],
    );
  });

  it("tells when the API server finds a configuration invalid", async () => {
    server.put(MUTATING, configuration(undefined));
    server.faultOf = ({ method }) =>
      method === "PATCH" ? { kind: "status", status: 422 } : undefined;
    const a = startReplica("a");
    const problems = (): readonly unknown[] => a.lines.map(({ problem }) => String(problem));
    await until("it is told", () => problems().some((problem) => /422/.test(String(problem))));
  });

  for (const [name, spoil] of [
    ["deleted", () => server.remove(SECRET)],
    ["emptied", () => server.put(SECRET, { data: {} })],
    ["edited to garbage", () => server.put(SECRET, { data: { "tls.crt": "Z2FyYmFnZQ==" } })],
    ["of no data at all", () => server.put(SECRET, { data: "text" })],
  ] as const) {
    it(`serves on and writes back when the Secret is ${name}`, async () => {
      server.put(MUTATING, configuration(undefined));
      const [a, b] = [startReplica("a"), startReplica("b")];
      await Promise.all([a.own.whenReady, b.own.whenReady]);
      const before = storedState();
      const seen = server.requests.length;
      spoil();
      await until("it is written", () =>
        server.requests
          .slice(seen)
          .some(({ method, path }) => method !== "GET" && path.startsWith(SECRETS)),
      );
      await until("it is whole", () => server.objects.get(SECRET)?.["data"] !== undefined);
      assert.deepEqual(storedState(), before);
      assert.deepEqual([isReady(a), isReady(b)], [true, true]);
      assert.deepEqual([a.served.length, b.served.length], [1, 1]);
      assert.doesNotMatch(JSON.stringify([a.lines, b.lines]), /PRIVATE KEY|LS0tLS1CRUdJTiBSU0Eg/);
    });
  }

  it("keeps labels and the type of a Secret that it writes over", async () => {
    server.put(MUTATING, configuration(undefined));
    server.put(SECRET, { metadata: { labels: { team: "x" } }, type: "Opaque", data: {} });
    const a = startReplica("a");
    await a.own.whenReady;
    const secret = server.objects.get(SECRET);
    assert.deepEqual([secret?.metadata["labels"], secret?.["type"]], [{ team: "x" }, "Opaque"]);
  });

  it("does not write a Secret of cert-manager, and says so", async () => {
    const annotations = { "cert-manager.io/certificate-name": "webhook" };
    server.put(SECRET, { metadata: { annotations }, data: {} });
    server.put(MUTATING, configuration(undefined));
    const a = startReplica("a");
    await until("it is told", () =>
      a.lines.some(({ problem }) => /belongs to cert-manager/.test(String(problem))),
    );
    assert.deepEqual(server.objects.get(SECRET)?.["data"], {});
    assert.equal(a.own.notReadyBecause(), "Secret eks/webhook-tls holds no certificates yet");
  });

  it("says which right it lacks, and goes on when it has it", async () => {
    server.put(MUTATING, configuration(undefined));
    server.faultOf = ({ path, method }) =>
      path.startsWith(SECRETS) && method === "POST" ? { kind: "status", status: 403 } : undefined;
    const a = startReplica("a");
    const told = (): readonly unknown[] =>
      a.lines.filter(({ msg, level }) => msg === "Cannot rotate" && level === 40);
    await until("it is told", () => told().length > 0);
    await pass("it has tried again", () => a.clock.now() > START_MS + 8000, a);
    assert.deepEqual(
      told().map((line) => (line as { problem: string }).problem),
      ["Cannot write Secret eks/webhook-tls: the API server answered 403: asked to fail"],
    );
    server.faultOf = () => undefined;
    await pass("it is ready", () => isReady(a), a);
  });

  for (const [name, offMs, kept] of [
    ["the certificate", 12 * DAY_MS, true],
    ["the CA too", 31 * DAY_MS, false],
  ] as const) {
    it(`starts right after all was off until ${name} had expired`, async () => {
      const state = await afterStep("create", undefined, STARTED);
      server.put(SECRET, { data: secretDataOf(state) });
      server.put(MUTATING, configuration(Buffer.from(caBundleOf(state)).toString("base64")));
      const nowMs = START_MS + offMs;
      const a = startReplica("a", { startMs: nowMs });
      await a.own.whenReady;
      const next = storedState();
      assert.equal(next.signing.cert === state.signing.cert, kept);
      assert.equal(expiryMsOf(next.serving.cert), nowMs + 10 * DAY_MS);
      assert.deepEqual(a.served, [state.serving, next.serving]);
      assert.deepEqual(storedBundles(MUTATING), [caBundleOf(next)]);
    });
  }

  it("goes through a rotation of the CA, whichever replica holds the Lease", async () => {
    server.put(MUTATING, configuration(undefined));
    server.put(VALIDATING, configuration(undefined));
    const [a, b] = [startReplica("a"), startReplica("b")];
    await Promise.all([a.own.whenReady, b.own.whenReady]);
    const first = storedState();
    await jump(20 * DAY_MS, a, b);
    await pass(
      "the next CA is trusted",
      () => storedState().next?.inForceSinceMs !== undefined,
      a,
      b,
    );
    const added = storedState();
    assert.equal(added.signing.cert, first.signing.cert);
    assert.deepEqual(storedBundles(MUTATING), [caBundleOf(added)]);
    assert.deepEqual(storedBundles(VALIDATING), [caBundleOf(added)]);

    const holder = a.lease.held ? a : b;
    await holder.own[Symbol.asyncDispose]();
    await holder.lease[Symbol.asyncDispose]();
    const other = holder === a ? b : a;
    await jump(DAY_MS, other);
    await pass("the CA is switched", () => storedState().old !== undefined, other);
    const switched = storedState();
    assert.equal(switched.signing.cert, added.next?.authority.cert);
    await pass("it is served", () => other.served.at(-1)?.cert === switched.serving.cert, other);
    assert.ok(isReady(other));

    await jump(DAY_MS, other);
    const isGone = (path: string): boolean => storedBundles(path)[0] === switched.signing.cert;
    await pass("the old CA is gone", () => isGone(MUTATING) && isGone(VALIDATING), other);
    await pass("it is ready", () => isReady(other), other);
  });

  it("sets no CA bundle by a Secret that has changed since it was told", async () => {
    server.put(MUTATING, configuration(undefined));
    const a = startReplica("a");
    await a.own.whenReady;
    const silence = Promise.withResolvers<void>();
    let reads = 0;
    server.faultOf = ({ method, path, prefix }) => {
      if (prefix !== "b" || method !== "GET" || path !== SECRETS) return undefined;
      reads += 1;
      // After the list comes the watch, which tells nothing.
      return reads === 2 ? { kind: "hold", until: silence.promise } : undefined;
    };
    const b = startReplica("b");
    try {
      await b.own.whenReady;
      await until("it watches the Secret", () => reads === 2);
      const occasion = { clock: a.clock, settings: SETTINGS };
      const added = await afterStep("add-ca", storedState(), occasion);
      const switched = await afterStep("switch-ca", added, occasion);
      server.put(SECRET, { data: secretDataOf(switched) });
      const isSet = (): boolean => storedBundles(MUTATING)[0] === caBundleOf(switched);
      await pass("the other sets the bundle", isSet, a);

      await a.own[Symbol.asyncDispose]();
      await a.lease[Symbol.asyncDispose]();
      await pass("it holds the lease", () => b.lease.held, b);
      const heldMs = b.clock.now();
      await pass("it had time to act", () => b.clock.now() >= heldMs + 5000, b);
      assert.ok(isSet(), "the API server still trusts what the Secret has");
      assert.notEqual(b.served.at(-1)?.cert, switched.serving.cert, "it has not been told yet");
    } finally {
      silence.resolve();
    }
    await pass("it serves what the Secret has", () => b.served.length === 2, b);
    await pass("it is ready", () => isReady(b), b);
  });

  it("keeps the next CA waiting while a configuration cannot be set", async () => {
    server.put(MUTATING, configuration(undefined));
    const a = startReplica("a");
    await a.own.whenReady;
    server.faultOf = ({ method }) =>
      method === "PATCH" ? { kind: "status", status: 500 } : undefined;
    await jump(20 * DAY_MS, a);
    await pass("the next CA is made", () => storedState().next !== undefined, a);
    await jump(5 * DAY_MS, a);
    const { next, old } = storedState();
    assert.deepEqual([next?.inForceSinceMs, old], [undefined, undefined]);
    server.faultOf = () => undefined;
    await pass("it is trusted", () => storedState().next?.inForceSinceMs !== undefined, a);
  });

  it("writes again what another has overwritten at the same time", async () => {
    server.put(MUTATING, configuration(undefined));
    let isFirst = true;
    server.faultOf = ({ method, path }) => {
      if (method !== "POST" || !path.startsWith(SECRETS) || !isFirst) return undefined;
      isFirst = false;
      server.put(SECRET, { data: {} });
      return undefined;
    };
    const a = startReplica("a");
    await a.own.whenReady;
    assert.deepEqual(a.served, [storedState().serving]);
    assert.equal(await metric(a, "certificate_rotations_total"), 1);
  });

  it("rejects who waits for it when it is stopped", async () => {
    const a = startReplica("a");
    await a.own[Symbol.asyncDispose]();
    await assert.rejects(a.own.whenReady, { code: "CERTIFICATE_INVALID" });
  });
});
