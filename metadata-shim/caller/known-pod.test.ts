import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { podKeeper } from "./known-pod.ts";

const ROLE_KEY = "iam.amazonaws.com/role";
const keep = podKeeper({ nodeName: "node-a", keys: [ROLE_KEY] });

function pod(
  change: {
    readonly metadata?: object;
    readonly spec?: object;
    readonly status?: object;
  } = {},
): object {
  return {
    metadata: { uid: "uid-1", name: "app", namespace: "team", ...change.metadata },
    spec: { nodeName: "node-a", serviceAccountName: "reader", ...change.spec },
    status: { phase: "Running", podIP: "10.1.0.2", ...change.status },
  };
}

describe("podKeeper", () => {
  it("keeps what decides, and no more", () => {
    const annotations = {
      [ROLE_KEY]: "app-role",
      "irsa-anywhere.io/http-tokens": "optional",
      other: "x".repeat(1000),
    };
    assert.deepEqual(keep(pod({ metadata: { annotations } })), {
      uid: "uid-1",
      name: "app",
      namespace: "team",
      serviceAccount: "reader",
      addresses: ["10.1.0.2"],
      podIp: "10.1.0.2",
      annotations: { [ROLE_KEY]: "app-role" },
      httpTokens: "optional",
    });
  });

  it("keeps the addresses of both families once", () => {
    const podIPs = [{ ip: "10.1.0.2" }, { ip: "FD00:0::2" }];
    assert.deepEqual(keep(pod({ status: { podIPs } }))?.addresses, ["10.1.0.2", "fd00::2"]);
  });

  const terminated = { state: { terminated: { exitCode: 0 } } };
  const running = { state: { running: {} } };
  const callers: readonly (readonly [name: string, change: Parameters<typeof pod>[0]])[] = [
    ["Pending with an address, for its init containers", { status: { phase: "Pending" } }],
    ["told to end and still running", { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }],
    [
      "told to end, with one container that runs",
      {
        metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" },
        status: { containerStatuses: [terminated, running] },
      },
    ],
    [
      "told to end, with a sidecar that runs",
      {
        metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" },
        status: { containerStatuses: [terminated], initContainerStatuses: [running] },
      },
    ],
    ["of containers that start again", { status: { containerStatuses: [terminated] } }],
    ["without a ServiceAccount", { spec: { serviceAccountName: undefined } }],
  ];
  for (const [name, change] of callers) {
    it(`keeps a pod ${name}`, () => assert.equal(keep(pod(change))?.uid, "uid-1"));
  }

  const others: readonly (readonly [name: string, object: unknown])[] = [
    ["on the host's network", pod({ spec: { hostNetwork: true } })],
    ["with the address of its host", pod({ status: { hostIP: "10.1.0.2" } })],
    ["with a loopback address", pod({ status: { podIP: "127.0.0.1" } })],
    ["of another node", pod({ spec: { nodeName: "node-b" } })],
    ["of no node", pod({ spec: { nodeName: undefined } })],
    ["that succeeded", pod({ status: { phase: "Succeeded" } })],
    ["that failed", pod({ status: { phase: "Failed" } })],
    ["without an address", pod({ status: { podIP: "" } })],
    ["with an address that is none", pod({ status: { podIP: "pending" } })],
    [
      "told to end, with all containers ended",
      pod({
        metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" },
        status: { containerStatuses: [terminated], initContainerStatuses: [terminated] },
      }),
    ],
    ["that is no object", "pod"],
    ["without a uid", pod({ metadata: { uid: "" } })],
  ];
  for (const [name, object] of others) {
    it(`keeps no pod ${name}`, () => assert.equal(keep(object), undefined));
  }
});
