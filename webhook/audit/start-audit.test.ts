import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createFakeCluster, type FakeCluster } from "../../test/fakes/fake-cluster.ts";
import { createMovedClock, type MovedClock } from "../../test/fakes/moved-clock.ts";
import { until } from "../../test/fakes/until.ts";
import { defineConfig } from "../../lib/config.ts";
import type { LeaseTask } from "../../lib/kube/lease.ts";
import { MUTATION_SETTINGS, mutationSettingsOf } from "../mutation/mutation-config.ts";
import { NO_ASSOCIATION } from "../identity/identity-source.ts";
import type { Annotations } from "../pod/pod.ts";
import { createAuditMetrics } from "./audit-metrics.ts";
import { REFUSED_RETRY_MS } from "./evictor.ts";
import { startAudit, type Audit } from "./start-audit.ts";

const ROLE = "arn:aws:iam::111122223333:role/reader";
const WITH_ROLE = { "eks.amazonaws.com/role-arn": ROLE };
const LABEL = { "irsa-anywhere.io/injection": "enabled" };
const PODS = "/api/v1/pods";
const NAMESPACES = "/api/v1/namespaces";
const REPLICA_SETS = "/apis/apps/v1/namespaces/team/replicasets";
const settings = mutationSettingsOf(defineConfig(MUTATION_SETTINGS).parse([], {}), undefined);

interface Setting extends AsyncDisposable {
  readonly cluster: FakeCluster;
  readonly audit: Audit;
  readonly clock: MovedClock;
  /** Messages of the log about pods, with the name of the pod. */
  readonly told: () => readonly string[];
  readonly metrics: () => Promise<string>;
  readonly setAccount: (name: string, annotations: Annotations | undefined) => void;
  /** Lets time pass, a second at a time, until something holds. */
  readonly pass: (what: string, holds: () => boolean) => Promise<void>;
  readonly passSeconds: (seconds: number) => Promise<void>;
  readonly loseLease: () => Promise<void>;
}

/** An audit that holds its Lease, of the namespace `team`. */
function setUp({ evictionsPerMinute = 0, allNamespaces = false } = {}): Setting {
  const cluster = createFakeCluster();
  cluster.put(NAMESPACES, { metadata: { name: "team", labels: LABEL } as { name: string } });
  cluster.put(PODS, podOf("unused", { namespace: "elsewhere" }));
  const accounts = new Map<string, Annotations>([["reader", WITH_ROLE]]);
  const clock = createMovedClock();
  const { log, lines } = createCollectedLog();
  const registry = new Registry();
  const lease = new AbortController();
  let task: Promise<void> = Promise.resolve();
  const audit = startAudit({
    connection: cluster.connection,
    lease: {
      identity: "replica-1",
      whileHeld: (run: LeaseTask) => {
        task = run(lease.signal);
      },
    },
    serviceAccounts: {
      get: (_namespace, name) => {
        const annotations = accounts.get(name);
        return annotations === undefined ? undefined : { annotations, version: 1 };
      },
      synced: true,
      whenSynced: Promise.resolve(),
      staleSeconds: () => 0,
    },
    associationOf: () => NO_ASSOCIATION,
    associationsKnown: () => true,
    settings,
    coverage: { allNamespaces, exemptNamespaces: ["irsa-system"] },
    metrics: createAuditMetrics(registry),
    evictionsPerMinute,
    clock,
    log,
  });
  const loseLease = async (): Promise<void> => {
    lease.abort();
    await task;
  };
  const passSeconds = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i += 1) {
      await until("it sleeps", () => clock.sleepers().some((ms) => ms <= 1000));
      clock.advance(1000);
    }
    await until("it sleeps", () => clock.sleepers().some((ms) => ms <= 1000));
  };
  return {
    cluster,
    audit,
    clock,
    told: () =>
      lines.flatMap(({ msg, pod, reason }) =>
        typeof pod === "string" && String(msg).startsWith("Pod lacks")
          ? [`${String(msg)}: ${pod} ${String(reason)}`]
          : [],
      ),
    metrics: () => registry.metrics(),
    setAccount(name, annotations) {
      if (annotations === undefined) accounts.delete(name);
      else accounts.set(name, annotations);
      audit.serviceAccountsChanged({ type: "changed", namespace: "team", name });
    },
    async pass(what, holds) {
      await until(what, () => {
        if (holds()) return true;
        if (clock.sleepers().some((ms) => ms <= 1000)) clock.advance(1000);
        return false;
      });
    },
    passSeconds,
    loseLease,
    [Symbol.asyncDispose]: loseLease,
  };
}

interface PodOptions {
  readonly namespace?: string;
  readonly env?: readonly object[];
  readonly replicaSet?: string;
  readonly isReady?: boolean;
}

function podOf(
  name: string,
  { namespace = "team", env = [], replicaSet, isReady = false }: PodOptions = {},
): {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
} {
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", controller: true };
  const ownerReferences =
    replicaSet === undefined ? [] : [{ ...owner, name: replicaSet, uid: `uid-${replicaSet}` }];
  return Object.assign(
    { metadata: { name, namespace, uid: `uid-${name}`, ownerReferences } },
    {
      spec: { serviceAccountName: "reader", containers: [{ name: "app", env }] },
      status: {
        phase: "Running",
        conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
      },
    },
  );
}

const OWN_TOKEN = [
  { name: "AWS_ROLE_ARN", value: ROLE },
  { name: "AWS_WEB_IDENTITY_TOKEN_FILE", valueFrom: {} },
];
const NO_TOKEN = "Pod lacks its identity: web no-token";
const GONE = "Pod lacks its identity no longer, or is gone: web no-token";

function kindsOf({ events }: FakeCluster): readonly string[] {
  return [...events.values()].map(
    ({ involvedObject, reason }) => `${involvedObject.kind} ${involvedObject.name} ${reason}`,
  );
}

describe("startAudit", () => {
  it("tells a pod without identity in the log, as metrics, and as Events up to its Deployment", async () => {
    await using t = setUp();
    const deployment = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      name: "web",
      uid: "d",
      controller: true,
    };
    t.cluster.put(REPLICA_SETS, {
      metadata: { name: "web-5d", ownerReferences: [deployment] } as { name: string },
    });
    t.cluster.put(PODS, podOf("web", { replicaSet: "web-5d" }));
    await t.pass("all Events are there", () => t.cluster.events.size === 3);
    assert.deepEqual(t.told(), [NO_TOKEN]);
    assert.deepEqual(kindsOf(t.cluster), [
      "ReplicaSet web-5d AwsIdentityNoToken",
      "Deployment web AwsIdentityNoToken",
      "Pod web AwsIdentityNoToken",
    ]);
    const metrics = await t.metrics();
    assert.match(metrics, /irsa_webhook_audit_findings\{namespace="team",reason="no-token"\} 1\n/);
    assert.match(metrics, /irsa_webhook_audit_found_total\{reason="no-token"\} 1\n/);
    assert.match(metrics, /irsa_webhook_audit_events_total\{result="created"\} 3\n/);
    assert.match(metrics, /irsa_webhook_audit_active 1\n/);
  });

  it("tells nothing of pods elsewhere, with identity, or of a ServiceAccount without a role", async () => {
    await using t = setUp();
    t.cluster.put(PODS, podOf("other", { namespace: "plain" }));
    t.cluster.put(PODS, podOf("fine", { env: OWN_TOKEN }));
    await t.passSeconds(5);
    assert.deepEqual(t.told(), []);
    t.setAccount("reader", {});
    t.cluster.put(PODS, podOf("web"));
    await t.passSeconds(5);
    assert.deepEqual(t.told(), []);
  });

  it("tells nothing that was wrong for less than two seconds", async () => {
    await using t = setUp();
    await t.passSeconds(5);
    t.cluster.put(PODS, podOf("web"));
    await t.passSeconds(1);
    t.cluster.put(PODS, podOf("web", { env: OWN_TOKEN }));
    await t.passSeconds(5);
    assert.deepEqual(t.told(), []);
  });

  it("looks again when a ServiceAccount gets its role, and when it loses it", async () => {
    await using t = setUp();
    t.setAccount("reader", undefined);
    t.cluster.put(PODS, podOf("web"));
    await t.passSeconds(5);
    assert.deepEqual(t.told(), []);
    t.setAccount("reader", WITH_ROLE);
    await t.pass("it is told", () => t.told().length === 1);
    t.setAccount("reader", {});
    await t.pass("it is gone", () => t.told().length === 2);
    assert.deepEqual(t.told(), [NO_TOKEN, GONE]);
    assert.doesNotMatch(await t.metrics(), /irsa_webhook_audit_findings\{/);
  });

  it("tells that a finding is gone with its pod", async () => {
    await using t = setUp();
    t.cluster.put(PODS, podOf("web"));
    await t.pass("it is told", () => t.told().length === 1);
    t.cluster.remove(PODS, "web");
    await t.pass("it is gone", () => t.told().length === 2);
    assert.equal(t.told()[1], GONE);
  });

  it("follows the labels of namespaces: pods of one that becomes covered are read then", async () => {
    await using t = setUp();
    t.cluster.put(PODS, podOf("web", { namespace: "later" }));
    await t.passSeconds(5);
    assert.deepEqual(t.told(), []);
    assert.equal(t.cluster.listsOf(PODS), 1);
    t.cluster.put(NAMESPACES, { metadata: { name: "later", labels: LABEL } as { name: string } });
    await t.pass("it is told", () => t.told().length === 1);
    assert.deepEqual(t.told(), [NO_TOKEN]);
    assert.equal(t.cluster.listsOf(PODS), 2);
    t.cluster.put(NAMESPACES, { metadata: { name: "later" } });
    await t.pass("it is gone", () => t.told().length === 2);
  });

  it("covers every namespace that is not labelled otherwise, when it is told to", async () => {
    await using t = setUp({ allNamespaces: true });
    const disabled = { "irsa-anywhere.io/injection": "disabled" };
    t.cluster.put(NAMESPACES, { metadata: { name: "off", labels: disabled } as { name: string } });
    for (const namespace of ["kube-system", "irsa-system", "off"]) {
      t.cluster.put(PODS, podOf(`in-${namespace}`, { namespace }));
    }
    t.cluster.put(PODS, podOf("web", { namespace: "plain" }));
    await t.pass("they are told", () => t.told().length === 2);
    await t.passSeconds(3);
    const expected = ["Pod lacks its identity: unused no-token", NO_TOKEN];
    assert.deepEqual(t.told().toSorted(), expected.toSorted());
  });

  it("writes one Event for many pods of a controller", async () => {
    await using t = setUp();
    for (const i of [1, 2, 3]) t.cluster.put(PODS, podOf(`web-${i}`, { replicaSet: "web-5d" }));
    await t.pass("all Events are there", () => t.cluster.events.size === 4);
    const [ofController] = t.cluster.events.values();
    assert.match(ofController?.message ?? "", /^3 pods, such as web-1: Pod lacks/);
  });

  it("evicts nothing unless it is told to", async () => {
    await using t = setUp();
    t.cluster.put(PODS, podOf("web", { replicaSet: "web-5d" }));
    await t.passSeconds(30);
    assert.deepEqual(t.cluster.evictions, []);
  });

  it("evicts one pod after the other, asks again after a refusal, and leaves the incurable", async () => {
    await using t = setUp({ evictionsPerMinute: 600 });
    t.cluster.evictionAnswers.push(429);
    t.cluster.put(PODS, podOf("web-1", { replicaSet: "web-5d" }));
    t.cluster.put(PODS, podOf("web-2", { replicaSet: "web-5d" }));
    t.cluster.put(PODS, podOf("alone"));
    t.cluster.put(PODS, podOf("half", { replicaSet: "half", env: OWN_TOKEN.slice(0, 1) }));
    await t.pass("it was refused", () => t.cluster.evictions.length === 1);
    await t.passSeconds(29);
    assert.deepEqual(t.cluster.evictions, ["web-1"]);
    await t.pass("it was evicted", () => t.cluster.evictions.length === 2);
    await t.passSeconds(30);
    assert.deepEqual(t.cluster.evictions, ["web-1", "web-1"], "no replacement was seen");
    const successor = { replicaSet: "web-5d", env: OWN_TOKEN };
    t.cluster.put(PODS, podOf("web-3", successor));
    await t.passSeconds(30);
    assert.equal(t.cluster.evictions.length, 2, "the replacement is not ready");
    t.cluster.put(PODS, podOf("web-3", { ...successor, isReady: true }));
    await t.pass("the next one was evicted", () => t.cluster.evictions.length === 3);
    await t.passSeconds(60);
    assert.deepEqual(t.cluster.evictions, ["web-1", "web-1", "web-2"]);
    assert.ok(kindsOf(t.cluster).includes("ReplicaSet web-5d AwsIdentityEvicted"));
    const metrics = await t.metrics();
    assert.match(metrics, /irsa_webhook_audit_evictions_total\{result="refused"\} 1\n/);
    assert.match(metrics, /irsa_webhook_audit_evictions_total\{result="evicted"\} 2\n/);
  });

  it("does not go on when the replacement lacks its identity again", async () => {
    await using t = setUp({ evictionsPerMinute: 600 });
    t.cluster.put(PODS, podOf("web-1", { replicaSet: "web-5d" }));
    await t.pass("it was evicted", () => t.cluster.evictions.length === 1);
    t.cluster.put(PODS, podOf("web-2", { replicaSet: "web-5d" }));
    // Nothing is told for so long that the watch alone would be taken for dead.
    await t.passSeconds(120);
    assert.deepEqual(t.cluster.evictions, ["web-1"]);
  });

  it("evicts nothing of a namespace that is covered no longer, though its pods are still known", async () => {
    await using t = setUp({ evictionsPerMinute: 600 });
    t.cluster.evictionAnswers.push(429);
    t.cluster.put(PODS, podOf("web", { replicaSet: "web-5d" }));
    await t.pass("it was refused", () => t.cluster.evictions.length === 1);
    await t.passSeconds(REFUSED_RETRY_MS / 1000 - 10);
    // Pods are listed anew for this, and not again for a while.
    t.cluster.put(NAMESPACES, { metadata: { name: "later", labels: LABEL } as { name: string } });
    await t.pass("pods are listed anew", () => t.cluster.listsOf(PODS) === 2);
    await t.passSeconds(4);
    t.cluster.put(NAMESPACES, { metadata: { name: "team" } });
    await t.passSeconds(15);
    assert.equal(t.cluster.listsOf(PODS), 2);
    assert.equal(t.cluster.evictions.length, 1, "its successor would get no identity");
  });

  it("ends with its Lease: it forgets its findings and stops", async () => {
    await using t = setUp();
    t.cluster.put(PODS, podOf("web"));
    await t.pass("it is told", () => t.told().length === 1);
    await t.loseLease();
    const metrics = await t.metrics();
    assert.match(metrics, /irsa_webhook_audit_active 0\n/);
    assert.doesNotMatch(metrics, /irsa_webhook_audit_findings\{/);
    assert.deepEqual(t.clock.sleepers(), []);
  });
});
