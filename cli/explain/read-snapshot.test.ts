import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AppError } from "../../lib/errors.ts";
import type { KubeAnswer, KubeRequest } from "../../lib/kube/connection.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { readSnapshot } from "./read-snapshot.ts";
import type { Snapshot } from "./snapshot.ts";

const POD = "/api/v1/namespaces/team/pods/web";
const SERVICE = "/api/v1/namespaces/eks/services/webhook";
const SLICES = "/apis/discovery.k8s.io/v1/namespaces/eks/endpointslices";
const CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

const pod = { metadata: { name: "web" }, spec: { serviceAccountName: "reader" } };
const configuration = mutatingWebhookConfiguration({
  name: "irsa",
  clientConfig: { service: { namespace: "eks", name: "webhook", port: 1 } },
});
const ready = (value?: boolean): object =>
  value === undefined ? {} : { conditions: { ready: value } };
const event = (component: string, message: string): object => ({
  type: "Warning",
  reason: "Said",
  message,
  source: { component },
});

const CONFIG_MAP = "/api/v1/namespaces/eks/configmaps/pod-identity-webhook";
const config = JSON.stringify({ "*/reader": { RoleARN: "glob" }, "other/reader": {} });

/** All that an API server has for the pod `team/web`. */
const ALL: Readonly<Record<string, unknown>> = {
  [POD]: pod,
  "/api/v1/namespaces/team": { metadata: { name: "team", labels: { a: "b" } } },
  "/api/v1/namespaces/team/serviceaccounts/reader": { metadata: { name: "reader" } },
  [CONFIGURATIONS]: { items: [configuration] },
  [CONFIG_MAP]: { data: { config } },
  // Nothing listens on port 1.
  [SERVICE]: { spec: { clusterIP: "127.0.0.1" } },
  [SLICES]: {
    items: [{ endpoints: [ready(), ready(true), ready(false)] }, { endpoints: null }, {}],
  },
  "/api/v1/namespaces/team/events": {
    items: [
      event("irsa-webhook", "it lacks its identity"),
      event("kubelet", "MountVolume.SetUp failed: failed to fetch token"),
      event("kubelet", "Pulling image"),
    ],
  },
};

interface Asked {
  readonly snapshot: Promise<Snapshot>;
  readonly paths: readonly string[];
}

/** Answers 404 for what is not there, and as `instead` says. */
function ask(instead: Readonly<Record<string, number | Error | object>> = {}): Asked {
  const paths: string[] = [];
  const request = ({ path }: KubeRequest): Promise<KubeAnswer> => {
    paths.push(path);
    const plain = path.replace(/\?.*/, "");
    const answer = instead[plain] ?? ALL[plain] ?? 404;
    if (answer instanceof Error) return Promise.reject(answer);
    const isStatus = typeof answer === "number";
    const body = isStatus ? { message: "no" } : answer;
    return Promise.resolve({ status: isStatus ? answer : 200, headers: {}, body });
  };
  const position = { inCluster: false, sharesLoopback: false, configMapNamespace: "eks" };
  const snapshot = readSnapshot({ request }, { namespace: "team", name: "web" }, position);
  return { snapshot, paths };
}

describe("readSnapshot", () => {
  it("reads everything about the pod", async () => {
    const { snapshot, paths } = ask();
    const { namespaceObject, serviceAccount, configMapEntry, webhooks, events } = await snapshot;
    assert.equal(configMapEntry.status === "found" && configMapEntry.value?.roleArn, "glob");
    assert.equal(namespaceObject.status, "found");
    assert.equal(serviceAccount.status, "found");
    assert.deepEqual(events.status === "found" && events.value.map(({ message }) => message), [
      "it lacks its identity",
      "MountVolume.SetUp failed: failed to fetch token",
    ]);
    assert.ok(webhooks.status === "found");
    assert.deepEqual(
      webhooks.value.map(({ readyEndpoints, tls }) => [readyEndpoints, tls?.status, tls?.address]),
      [
        [{ status: "found", value: 2 }, "unreachable", "127.0.0.1:1"],
        [{ status: "found", value: 2 }, "unreachable", "127.0.0.1:1"],
      ],
    );
    assert.ok(paths.includes(`${SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dwebhook`));
  });

  const unread: readonly (readonly [path: string, part: keyof Snapshot, right: string])[] = [
    ["/api/v1/namespaces/team", "namespaceObject", "get namespaces/team"],
    [
      "/api/v1/namespaces/team/serviceaccounts/reader",
      "serviceAccount",
      "get serviceaccounts/reader -n team",
    ],
    [CONFIG_MAP, "configMapEntry", "get configmaps/pod-identity-webhook -n eks"],
    [CONFIGURATIONS, "webhooks", "list mutatingwebhookconfigurations"],
    ["/apis/apps/v1/daemonsets", "shims", "list daemonsets.apps -A"],
    ["/api/v1/namespaces/team/events", "events", "list events -n team"],
  ];
  for (const [path, part, right] of unread) {
    it(`goes on without the ${part} that may not be read`, async () => {
      assert.deepEqual((await ask({ [path]: 403 }).snapshot)[part], { status: "forbidden", right });
    });
    it(`goes on without the ${part} that cannot be read`, async () => {
      assert.deepEqual((await ask({ [path]: 500 }).snapshot)[part], {
        status: "failed",
        problem: "the API server answered 500: no",
      });
      assert.deepEqual((await ask({ [path]: new Error("cut off") }).snapshot)[part], {
        status: "failed",
        problem: "cut off",
      });
    });
  }

  it("reads how a metadata shim stands on the node of the pod", async () => {
    const shim = {
      metadata: { namespace: "irsa", name: "shim" },
      spec: {
        selector: { matchLabels: { app: "shim" } },
        template: { spec: { containers: [{ args: ["shim"] }] } },
      },
    };
    const standing = { status: { conditions: [{ type: "Ready", status: "True" }] } };
    const shims = async (
      pods: readonly object[],
      nodeName?: string,
    ): Promise<readonly (readonly unknown[])[]> => {
      const { snapshot, paths } = ask({
        "/apis/apps/v1/daemonsets": { items: [shim] },
        "/api/v1/namespaces/irsa/pods": { items: pods },
        "/api/v1/nodes/node-1": { spec: { taints: [{ key: "a.io/not-ready" }] } },
        [POD]: { spec: { nodeName } },
      });
      const { shims: all } = await snapshot;
      assert.ok(all.status === "found");
      const asked = paths.find((path) => path.includes("/irsa/pods"));
      return all.value.map(({ onNode, taints }) => [onNode, taints, asked]);
    };
    const path = "/api/v1/namespaces/irsa/pods?labelSelector=app%3Dshim&fieldSelector=";
    const asked = `${path}spec.nodeName%3Dnode-1`;
    const taints = { status: "found", value: ["a.io/not-ready"] };
    for (const [pods, value] of [
      [[], "absent"],
      [[{ status: {} }], "not ready"],
      [[{}, standing], "ready"],
    ] as const) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.deepEqual(await shims(pods, "node-1"), [[{ status: "found", value }, taints, asked]]);
    }
    assert.deepEqual(await shims([standing]), [[undefined, undefined, undefined]]);
  });

  it("knows a ServiceAccount that is gone, and a pod that names none", async () => {
    const path = "/api/v1/namespaces/team/serviceaccounts/reader";
    assert.deepEqual((await ask({ [path]: 404 }).snapshot).serviceAccount, { status: "missing" });
    const { snapshot, paths } = ask({ [POD]: { spec: {} } });
    assert.deepEqual((await snapshot).serviceAccount, { status: "missing" });
    assert.ok(!paths.some((asked) => asked.includes("serviceaccounts")));
  });

  const services: readonly (readonly [string, number | object, string | undefined])[] = [
    ["is gone", 404, "missing"],
    ["has no address of its own", { spec: { clusterIP: "None" } }, "found"],
    ["may not be read", 403, "found"],
  ];
  for (const [name, answer, endpoints] of services) {
    it(`tries no connection to a Service that ${name}`, async () => {
      const { webhooks } = await ask({ [SERVICE]: answer }).snapshot;
      const [webhook] = webhooks.status === "found" ? webhooks.value : [];
      assert.equal(webhook?.tls, undefined);
      assert.equal(webhook?.readyEndpoints?.status, endpoints);
    });
  }

  it("says what is wrong with the content of the ConfigMap", async () => {
    const { snapshot } = ask({ [CONFIG_MAP]: { data: { config: "[]" } } });
    assert.deepEqual((await snapshot).configMapEntry, {
      status: "failed",
      problem: "Cannot use the ConfigMap's config: expected a JSON object",
    });
  });

  for (const status of [403, 404, 500]) {
    it(`fails when the pod is answered ${status}`, async () => {
      await assert.rejects(ask({ [POD]: status }).snapshot, (err) => {
        assert.ok(err instanceof AppError);
        assert.equal(err.code, "KUBERNETES_REFUSED");
        assert.match(err.message, /Cannot read pod team\/web/);
        return true;
      });
    });
  }
});
