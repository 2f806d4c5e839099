import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventRecorder } from "../lib/kube/events.ts";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { createEventServer } from "../test/fakes/event-server.ts";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import { until } from "../test/fakes/until.ts";
import { createPodEvents, type EventReasons } from "./pod-events.ts";

const pod = { podUid: "uid", podName: "app-0", namespace: "ns", serviceAccount: "app" };
const role = {
  roleArn: "arn:aws:iam::111122223333:role/app",
  audience: "sts.amazonaws.com",
  serviceAccountUid: "sa",
};

async function eventsWith(reasons: EventReasons): Promise<readonly object[]> {
  const server = createEventServer();
  const recorder = new EventRecorder({
    connection: server.connection,
    component: "irsa-shim",
    instance: "node-1",
    clock: createMovedClock(),
    log: createCollectedLog().log,
  });
  const events = createPodEvents(recorder, reasons);
  events.forbidden(pod, "a policy says no");
  const failure = { kind: "refused", code: "AccessDenied", message: "Not authorized" } as const;
  events.credentialError({ caller: pod, role }, failure);
  events.credentialError({ caller: pod, role }, failure);
  const others = ["b", "a"].map((name) => ({ uid: name, name, namespace: "ns" }));
  events.ambiguousAddress(others, "10.1.0.2");
  await until("all are written", () => server.events.size === 4);
  return [...server.events.values()].map(({ involvedObject, type, reason, message }) => ({
    kind: involvedObject.kind,
    name: involvedObject.name,
    uid: involvedObject.uid,
    type,
    reason,
    message,
  }));
}

describe("Events on pods", () => {
  for (const [reasons, forbidden, credentialError, ambiguousAddress] of [
    ["own", "Forbidden", "CredentialError", "AmbiguousAddress"],
    ["kiam", "KiamRoleForbidden", "KiamCredentialError", "KiamCredentialError"],
  ] as const) {
    it(`say what is wrong, with reasons that are ${reasons}`, async () => {
      const regarding = { kind: "Pod", name: "app-0", uid: "uid", type: "Warning" };
      assert.deepEqual(await eventsWith(reasons), [
        { ...regarding, reason: forbidden, message: "a policy says no" },
        {
          ...regarding,
          reason: credentialError,
          message: `No credentials of ${role.roleArn}: AccessDenied: Not authorized`,
        },
        ...["b", "a"].map((name) => ({
          ...regarding,
          name,
          uid: name,
          reason: ambiguousAddress,
          message: "No credentials: 10.1.0.2 is the address of ns/a and ns/b",
        })),
      ]);
    });
  }
});
