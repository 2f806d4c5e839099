import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defineConfig } from "../../lib/config.ts";
import { KubeObject } from "../../lib/kube/kube-object.ts";
import { MUTATION_SETTINGS, mutationSettingsOf } from "../mutation/mutation-config.ts";
import { parsePod, type Pod } from "../pod/pod.ts";
import { auditedPodKeeper, podOf, type AuditedPod } from "./audited-pod.ts";
import { findingOf } from "./finding.ts";

const settings = mutationSettingsOf(defineConfig(MUTATION_SETTINGS).parse([], {}), undefined);
const ROLE = { "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/reader" };
const keep = auditedPodKeeper("eks.amazonaws.com", (namespace) => namespace === "team");

const OWNER = {
  apiVersion: "apps/v1",
  kind: "ReplicaSet",
  name: "web-5d",
  uid: "rs-1",
  controller: true,
};

function objectOf(
  number: number,
  over: { metadata?: object; spec?: object; status?: object } = {},
): KubeObject {
  const suffix = `abcd${number}`;
  return KubeObject.parse({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `web-5d-${suffix}`,
      namespace: "team",
      uid: `u-${number}`,
      creationTimestamp: `2026-01-01T10:00:0${number}Z`,
      labels: { app: "web" },
      annotations: { "cni.example.com/ip": `10.0.0.${number}` },
      ownerReferences: [{ ...OWNER, kind: "Other", controller: false }, OWNER],
      ...over.metadata,
    },
    spec: {
      serviceAccountName: "reader",
      nodeName: `node-${number}`,
      containers: [
        {
          name: "app",
          image: "registry/app:1",
          env: [{ name: "PASSWORD", value: "hunter2" }],
          volumeMounts: [
            {
              name: `kube-api-access-${suffix}`,
              mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
            },
          ],
        },
      ],
      volumes: [
        {
          name: `kube-api-access-${suffix}`,
          projected: {
            sources: [
              { serviceAccountToken: { path: "token", expirationSeconds: 3607 } },
              { configMap: { name: "ca" } },
            ],
          },
        },
        { name: "data", configMap: { name: "large" } },
      ],
      ...over.spec,
    },
    status: over.status ?? { phase: "Running", podIP: `10.0.0.${number}` },
  });
}

function kept(object: KubeObject): AuditedPod {
  return keep(object) ?? assert.fail("it is not kept");
}

function find(pod: Pod): unknown {
  return findingOf({
    pod,
    serviceAccount: { status: "found", annotations: ROLE },
    settings,
    roleSetAtMs: Date.UTC(2026, 0, 2),
  });
}

describe("auditedPodKeeper", () => {
  it("keeps who made a pod, when, and for which ServiceAccount", () => {
    const { uid, serviceAccount, controller, createdAtMs } = kept(objectOf(1));
    const { controller: _controller, ...owner } = OWNER;
    assert.deepEqual(
      { uid, serviceAccount, controller, createdAtMs },
      {
        uid: "u-1",
        serviceAccount: "reader",
        controller: owner,
        createdAtMs: Date.UTC(2026, 0, 1, 10, 0, 1),
      },
    );
  });

  for (const [status, isReady] of [
    [undefined, false],
    [{ phase: "Running", conditions: null }, false],
    [{ conditions: [{ type: "Ready", status: "False" }] }, false],
    [{ conditions: [{ type: "ContainersReady", status: "True" }] }, false],
    [
      {
        conditions: [
          { type: "Initialized", status: "True" },
          { type: "Ready", status: "True" },
        ],
      },
      true,
    ],
  ] as const) {
    it(`knows whether a pod is ready with the status ${JSON.stringify(status)}`, () => {
      assert.equal(kept({ ...objectOf(1), status }).isReady, isReady);
    });
  }

  it("holds replicas once, however they differ in name, node, address and age", () => {
    assert.equal(kept(objectOf(1)).pod, kept(objectOf(2)).pod);
  });

  it("keeps apart what differs in what a finding depends on", () => {
    const other = objectOf(1, { spec: { serviceAccountName: "reader", hostNetwork: true } });
    assert.notEqual(kept(objectOf(1)).pod, kept(other).pod);
  });

  it("holds no variable but AWS's, and no value of a label", () => {
    const text = JSON.stringify(kept(objectOf(1)));
    assert.doesNotMatch(text, /hunter2|PASSWORD|registry|large|web"/);
  });

  const nothing: readonly (readonly [string, KubeObject])[] = [
    ["in a namespace that is not covered", objectOf(1, { metadata: { namespace: "other" } })],
    ["that has ended", objectOf(1, { status: { phase: "Succeeded" } })],
    ["without a ServiceAccount", objectOf(1, { spec: { serviceAccountName: "" } })],
    [
      "opted out by label",
      objectOf(1, { metadata: { labels: { "irsa-anywhere.io/injection": "disabled" } } }),
    ],
  ];
  for (const [name, object] of nothing) {
    it(`keeps nothing of a pod ${name}`, () => assert.equal(keep(object), undefined));
  }

  const same: readonly (readonly [string, object])[] = [
    ["plain", {}],
    ["on the host's network", { hostNetwork: true }],
    [
      "on Windows by its node selector",
      { nodeSelector: { "kubernetes.io/os": "windows", zone: "a" } },
    ],
    ["with a foreign volume", { volumes: [{ name: "aws-iam-token", emptyDir: {} }] }],
    [
      "with a token of its own and half of the pair",
      {
        volumes: [
          {
            name: "mine",
            projected: {
              sources: [{ serviceAccountToken: { audience: "sts.amazonaws.com", path: "token" } }],
            },
          },
        ],
        containers: [
          {
            name: "app",
            env: [{ name: "AWS_ROLE_ARN", value: "arn:aws:iam::111122223333:role/x" }],
            volumeMounts: [{ name: "mine", mountPath: "/mine", subPath: "x" }],
          },
        ],
      },
    ],
    ["with init containers", { initContainers: [{ name: "init" }] }],
  ];
  for (const [name, spec] of same) {
    it(`leads to the same finding as the whole pod: ${name}`, () => {
      const object = objectOf(1, {
        metadata: { annotations: { "eks.amazonaws.com/skip-containers": "other" } },
        spec: { serviceAccountName: "reader", containers: [{ name: "app" }], ...spec },
      });
      assert.notEqual(find(parsePod(object)), undefined);
      assert.deepEqual(find(podOf(kept(object))), find(parsePod(object)));
    });
  }
});
