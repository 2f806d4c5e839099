import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { podFactsOf } from "./pod-facts.ts";

const token = (path = "token"): object => ({
  name: "t",
  projected: {
    sources: [{ serviceAccountToken: { audience: "a", path, expirationSeconds: 600 } }],
  },
});
const reader = (file: string, mount: object = {}): object => ({
  name: "app",
  env: [{ name: "AWS_WEB_IDENTITY_TOKEN_FILE", value: file }],
  volumeMounts: [{ name: "t", mountPath: "/t", ...mount }],
});

const owner = (kind: string, name: string): object => ({ kind, name, controller: true });

describe("podFactsOf", () => {
  const files: readonly (readonly [string, object, object, boolean])[] = [
    ["the token's file", reader("/t/token"), token(), true],
    ["the same written otherwise", reader("/t//./token"), token(), true],
    ["a file of another name", reader("/t/other"), token(), false],
    ["a file below", reader("/t/token/x"), token(), false],
    ["a mount of a part", reader("/t/token", { subPath: "token" }), token(), false],
    ["another volume", reader("/t/token"), { name: "t", emptyDir: {} }, false],
    ["a path on Windows", reader("C:\\t\\token", { mountPath: "C:\\t" }), token(), true],
  ];
  for (const [name, container, volume, expected] of files) {
    it(`${expected ? "finds" : "does not find"} the token at ${name}`, () => {
      const pod = { spec: { containers: [container], volumes: [volume] } };
      const [facts] = podFactsOf(pod).containers;
      assert.equal(facts?.token !== undefined, expected);
      if (expected) assert.equal(facts?.token?.mode, 0o644);
    });
  }

  const controllers: readonly (readonly [string, object, string | undefined])[] = [
    ["a bare pod", {}, undefined],
    [
      "a pod of a Deployment",
      {
        labels: { "pod-template-hash": "6d5f7c9b4" },
        ownerReferences: [owner("ReplicaSet", "web-6d5f7c9b4")],
      },
      "deployment/web",
    ],
    [
      "a pod of a ReplicaSet of its own",
      { ownerReferences: [owner("ReplicaSet", "web")] },
      "replicaset/web",
    ],
    ["a pod of a StatefulSet", { ownerReferences: [owner("StatefulSet", "db")] }, "statefulset/db"],
    [
      "a pod with an owner that does not control it",
      { ownerReferences: [{ kind: "Node", name: "n" }] },
      undefined,
    ],
  ];
  for (const [name, metadata, expected] of controllers) {
    it(`names what makes ${name}: ${expected}`, () => {
      assert.equal(podFactsOf({ metadata }).controller, expected);
    });
  }

  it("takes a container's user over the pod's", () => {
    const containers = [{ name: "a", securityContext: { runAsUser: 0 } }, { name: "b" }];
    const pod = { spec: { securityContext: { runAsUser: 5 }, containers } };
    assert.deepEqual(
      podFactsOf(pod).containers.map(({ runAsUser }) => runAsUser),
      [0, 5],
    );
  });

  for (const spec of [
    { os: { name: "windows" } },
    { nodeSelector: { "kubernetes.io/os": "windows" } },
  ]) {
    it(`sees Windows in ${JSON.stringify(spec)}`, () => {
      assert.equal(podFactsOf({ spec }).isWindows, true);
    });
  }
});
