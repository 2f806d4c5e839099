import { describe } from "node:test";
import { bare, itSays } from "../../test/fakes/fine-pod.ts";

describe("explainPod", () => {
  itSays([
    ["no opt-out", {}, "skipped", "ok", /none/],
    [
      "our label",
      { pod: bare({ metadata: { labels: { "irsa-anywhere.io/injection": "disabled" } } }) },
      "skipped",
      "problem",
      /keeps the webhook away/,
    ],
    [
      "AWS's label",
      {
        pod: bare({ metadata: { labels: { "eks.amazonaws.com/skip-pod-identity-webhook": "" } } }),
      },
      "skipped",
      "problem",
      /skip-pod-identity-webhook=/,
    ],
    [
      "all containers skipped",
      { pod: bare({ metadata: { annotations: { "eks.amazonaws.com/skip-containers": "app" } } }) },
      "skipped",
      "problem",
      /skip-containers=app/,
    ],
    [
      "mirror of a static pod",
      { pod: bare({ metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } }) },
      "skipped",
      "problem",
      /static pod/,
    ],
  ]);
});
