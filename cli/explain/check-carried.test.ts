import { describe } from "node:test";
import { account, bare, env, itSays, ROLE, served, withEnv } from "../../test/fakes/fine-pod.ts";

describe("explainPod", () => {
  itSays([
    ["variables", {}, "environment", "ok", /app: AWS_ROLE_ARN=arn.*, AWS_WEB_IDENTITY_TOKEN_FILE=/],
    [
      "no variables, of a Deployment",
      {
        pod: bare({
          metadata: {
            labels: { "pod-template-hash": "abc" },
            ownerReferences: [{ kind: "ReplicaSet", name: "web-abc", controller: true }],
          },
        }),
      },
      "environment",
      "problem",
      /app: none.*kubectl rollout restart deployment\/web -n team/,
    ],
    [
      "variables of another role",
      { pod: served({}, "arn:aws:iam::111122223333:role/old") },
      "environment",
      "problem",
      /another identity/,
    ],
    [
      "half of the pair",
      { pod: bare(withEnv(env("AWS_ROLE_ARN", ROLE))) },
      "environment",
      "problem",
      /one variable of the pair/,
    ],
    [
      "no variables where nobody asks for any",
      { pod: bare(), serviceAccount: account({}) },
      "environment",
      "problem",
      /role of the node/,
    ],
    [
      "volume",
      {},
      "volume",
      "ok",
      /app: volume aws-iam-token, audience sts\.amazonaws\.com, 86400 s/,
    ],
    [
      "volume that is another",
      { pod: bare({ spec: { volumes: [{ name: "aws-iam-token", emptyDir: {} }] } }) },
      "volume",
      "problem",
      /is no token/,
    ],
    [
      "file from a Secret",
      { pod: bare(withEnv(env("AWS_ROLE_ARN"), env("AWS_WEB_IDENTITY_TOKEN_FILE"))) },
      "volume",
      "unknown",
      /Secret or a ConfigMap/,
    ],
    ["token for all", {}, "readable", "ok", /mode 0644/],
    ["no token to read", { pod: bare() }, "readable", "note", /no container/],
    ["no other credentials", {}, "other-credentials", "ok", /none/],
    [
      "static keys",
      { pod: served(withEnv(env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"))) },
      "other-credentials",
      "problem",
      /^(?!.*AKIDEXAMPLE).*AWS_ACCESS_KEY_ID in app/,
    ],
    [
      "static keys from a Secret",
      { pod: served(withEnv(env("AWS_ACCESS_KEY_ID"))) },
      "other-credentials",
      "problem",
      /AWS_ACCESS_KEY_ID in app/,
    ],
    [
      "an empty key",
      { pod: served(withEnv(env("AWS_ACCESS_KEY_ID", ""))) },
      "other-credentials",
      "ok",
      /none/,
    ],
    [
      "an endpoint of container credentials beside web identity",
      { pod: served(withEnv(env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/"))) },
      "other-credentials",
      "note",
      /AWS_CONTAINER_CREDENTIALS_FULL_URI in app.*JavaScript v2/s,
    ],
    [
      "a profile",
      { pod: served(withEnv(env("AWS_PROFILE", "x"))) },
      "other-credentials",
      "note",
      /AWS_PROFILE in app/,
    ],
    [
      "all of a Secret",
      {
        pod: served({
          spec: { containers: [{ name: "app", envFrom: [{ secretRef: { name: "aws" } }] }] },
        }),
      },
      "other-credentials",
      "unknown",
      /secret\/aws.*kubectl describe secret\/aws -n team/,
    ],
  ]);
});
