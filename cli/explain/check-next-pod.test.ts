import { describe } from "node:test";
import {
  account,
  bare,
  FORBIDDEN,
  found,
  itSays,
  MISSING,
  namespaceWith,
  REQUIRED,
} from "../../test/fakes/fine-pod.ts";

describe("explainPod", () => {
  itSays([
    [
      "what a ConfigMap that may not be read gives a new pod",
      { pod: bare(), serviceAccount: account({}), configMapEntry: FORBIDDEN },
      "decision",
      "unknown",
      /configuration could not be read/,
    ],
    [
      "what an unread ServiceAccount gives a new pod, where identity is required",
      {
        pod: bare(),
        serviceAccount: FORBIDDEN,
        namespaceObject: namespaceWith({ "irsa-anywhere.io/injection": "required" }),
      },
      "decision",
      "unknown",
      /ServiceAccount could not be read/,
    ],
    ["a new pod", {}, "decision", "ok", /it would get arn/],
    [
      "a new pod in a namespace that is not covered",
      { namespaceObject: namespaceWith({}) },
      "decision",
      "note",
      /would not be asked/,
    ],
    [
      "a new pod that would be refused",
      { pod: bare(), serviceAccount: MISSING, namespaceObject: REQUIRED },
      "decision",
      "problem",
      /refused/,
    ],
    [
      "a new pod in place of one that was missed",
      { pod: bare() },
      "decision",
      "ok",
      /Once nothing above stands in the way/,
    ],
    ["no Events", {}, "events", "ok", /none/],
    [
      "an Event",
      {
        events: found([{ type: "Warning", reason: "AwsIdentityMissing", message: "it lacks it" }]),
      },
      "events",
      "note",
      /AwsIdentityMissing: it lacks it.*kubectl events --for pod\/web -n team/,
    ],
    ["Events unread", { events: FORBIDDEN }, "events", "unknown", /right/],
  ]);
});
