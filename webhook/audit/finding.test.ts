import assert from "node:assert/strict";
import { describe, it } from "node:test";
import jsonPatch from "fast-json-patch";
import { defineConfig } from "../../lib/config.ts";
import {
  givenRoleAccount,
  MUTATION_SETTINGS,
  mutationSettingsOf,
} from "../mutation/mutation-config.ts";
import { mutationOf, type ServiceAccountState } from "../mutation/mutation.ts";
import { parsePod, type Pod } from "../pod/pod.ts";
import { findingOf, type Finding } from "./finding.ts";

const ROLE = "arn:aws:iam::111122223333:role/reader";
const OTHER_ROLE = "arn:aws:iam::111122223333:role/writer";
const MOUNT_PATH = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
const config = defineConfig(MUTATION_SETTINGS).parse([], {});
const settings = mutationSettingsOf(config, givenRoleAccount(config));

const CREATED = "2026-01-01T10:00:00Z";

interface Template {
  readonly metadata?: object;
  readonly spec?: object;
  readonly status?: object;
}

function accountOf(
  roleArn: string | undefined,
  more: Record<string, string> = {},
): ServiceAccountState {
  const role = roleArn === undefined ? {} : { "eks.amazonaws.com/role-arn": roleArn };
  return { status: "found", annotations: { ...role, ...more } };
}

function podOf({ metadata = {}, spec = {}, status = { phase: "Running" } }: Template = {}): Pod {
  return parsePod({
    metadata: { name: "web", namespace: "team", creationTimestamp: CREATED, ...metadata },
    spec: { serviceAccountName: "reader", containers: [{ name: "app" }], ...spec },
    status,
  });
}

/** The pod as the webhook would have let it pass. */
function injected(pod: Pod, serviceAccount = accountOf(ROLE)): Pod {
  const { operations } = mutationOf({ pod, serviceAccount, settings });
  assert.notEqual(operations.length, 0);
  const patch = structuredClone([...operations]);
  return parsePod(jsonPatch.applyPatch(structuredClone(pod), patch, true).newDocument);
}

function find(
  pod: Pod,
  serviceAccount = accountOf(ROLE),
  roleSetAtMs?: number,
): Finding | undefined {
  return findingOf({ pod, serviceAccount, settings, roleSetAtMs });
}

const env = (name: string, value: string): object => ({ name, value });
const tokenVolume = (audience: string, name = "aws-iam-token"): object => ({
  name,
  projected: { sources: [{ serviceAccountToken: { audience, path: "token" } }] },
});

describe("findingOf: nothing is wrong with", () => {
  const skip = { "eks.amazonaws.com/skip-containers": "app" };
  const cases: readonly (readonly [name: string, pod: Pod, account?: ServiceAccountState])[] = [
    ["a pod that the webhook has injected", injected(podOf())],
    [
      "an injected pod with init containers and native sidecars",
      injected(podOf({ spec: { initContainers: [{ name: "init" }] } })),
    ],
    ["an injected pod on Windows", injected(podOf({ spec: { os: { name: "windows" } } }))],
    ["a pod whose ServiceAccount has no role", podOf(), accountOf(undefined)],
    ["a pod whose ServiceAccount is gone", podOf(), { status: "service-account-not-found" }],
    ["a pod whose containers are all skipped", podOf({ metadata: { annotations: skip } })],
    ["a pod that has succeeded", podOf({ status: { phase: "Succeeded" } })],
    ["a pod that has failed", podOf({ status: { phase: "Failed" } })],
    ["a pod that is being deleted", podOf({ metadata: { deletionTimestamp: CREATED } })],
    [
      "a pod opted out by our label",
      podOf({ metadata: { labels: { "irsa-anywhere.io/injection": "disabled" } } }),
    ],
    [
      "a pod opted out by the label of AWS's webhook",
      podOf({ metadata: { labels: { "eks.amazonaws.com/skip-pod-identity-webhook": "" } } }),
    ],
    [
      "the mirror of a static pod",
      podOf({ metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } }),
    ],
    [
      "a container with its user's own token for the audience",
      podOf({
        spec: {
          volumes: [tokenVolume("sts.amazonaws.com", "mine")],
          containers: [
            {
              name: "app",
              env: [env("AWS_ROLE_ARN", ROLE), env("AWS_WEB_IDENTITY_TOKEN_FILE", "/mine/token")],
              volumeMounts: [{ name: "mine", mountPath: "/mine" }],
            },
          ],
        },
      }),
    ],
    [
      "values from elsewhere, which are not known",
      podOf({
        spec: {
          containers: [
            {
              name: "app",
              env: ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"].map((name) => ({
                name,
                valueFrom: { configMapKeyRef: { name: "aws", key: name } },
              })),
            },
          ],
        },
      }),
    ],
  ];
  for (const [name, pod, account] of cases) {
    it(name, () => assert.equal(find(pod, account), undefined));
  }

  it("a pod that lacks only the region that is set today", () => {
    const withRegion = { ...settings, region: "eu-central-1" };
    const pod = injected(podOf());
    assert.equal(
      findingOf({ pod, serviceAccount: accountOf(ROLE), settings: withRegion }),
      undefined,
    );
  });
});

describe("findingOf: what is wrong", () => {
  interface Case {
    readonly pod: Pod;
    readonly account?: ServiceAccountState;
    readonly reason: string;
    readonly restartHelps: boolean;
    readonly says: RegExp;
  }
  const file = `${MOUNT_PATH}/token`;
  const ours = { name: "aws-iam-token", mountPath: MOUNT_PATH };
  const cases: Readonly<Record<string, Case>> = {
    "a pod created while the webhook was down": {
      pod: podOf(),
      reason: "no-token",
      restartHelps: true,
      says: /container "app" has no AWS_ROLE_ARN.*Delete the pod/,
    },
    "one that is still pending": {
      pod: podOf({ status: { phase: "Pending" } }),
      reason: "no-token",
      restartHelps: true,
      says: /webhook was not asked/,
    },
    "one on the host's network": {
      pod: podOf({ spec: { hostNetwork: true } }),
      reason: "no-token",
      restartHelps: true,
      says: /role of its node/,
    },
    "a sidecar that was added after the injection": {
      pod: (() => {
        const pod = injected(podOf());
        return parsePod({
          ...pod,
          spec: { ...pod.spec, containers: [...(pod.spec?.containers ?? []), { name: "late" }] },
        });
      })(),
      reason: "no-token",
      restartHelps: true,
      says: /^(?!.*"app").*container "late" has no AWS_ROLE_ARN/,
    },
    "only the container that is not skipped": {
      pod: podOf({
        metadata: { annotations: { "eks.amazonaws.com/skip-containers": "log" } },
        spec: { containers: [{ name: "app" }, { name: "log" }] },
      }),
      reason: "no-token",
      restartHelps: true,
      says: /^(?!.*"log").*container "app"/,
    },
    "the role of an earlier annotation": {
      pod: injected(podOf(), accountOf(OTHER_ROLE)),
      reason: "other-role",
      restartHelps: true,
      says: /AWS_ROLE_ARN "arn:aws:iam::111122223333:role\/writer", wanted ".*role\/reader"/,
    },
    "a role of the template's own": {
      pod: podOf({
        spec: {
          volumes: [tokenVolume("sts.amazonaws.com", "mine")],
          containers: [
            {
              name: "app",
              env: [
                env("AWS_ROLE_ARN", OTHER_ROLE),
                env("AWS_WEB_IDENTITY_TOKEN_FILE", "/mine/token"),
              ],
              volumeMounts: [{ name: "mine", mountPath: "/mine" }],
            },
          ],
        },
      }),
      reason: "other-role",
      restartHelps: false,
      says: /Remove the variables/,
    },
    "half of the pair": {
      pod: injected(
        podOf({ spec: { containers: [{ name: "app", env: [env("AWS_ROLE_ARN", ROLE)] }] } }),
      ),
      reason: "incomplete",
      restartHelps: false,
      says: /has AWS_ROLE_ARN but no AWS_WEB_IDENTITY_TOKEN_FILE/,
    },
    "a volume of our name that is none of ours": {
      pod: podOf({ spec: { volumes: [{ name: "aws-iam-token", emptyDir: {} }] } }),
      reason: "foreign-volume",
      restartHelps: false,
      says: /volume "aws-iam-token" is no token/,
    },
    "a mount of something else at our path": {
      pod: podOf({
        spec: {
          volumes: [{ name: "other", emptyDir: {} }],
          containers: [{ name: "app", volumeMounts: [{ name: "other", mountPath: MOUNT_PATH }] }],
        },
      }),
      reason: "foreign-volume",
      restartHelps: false,
      says: /volume "other" is mounted at/,
    },
    "variables that point into a foreign volume": {
      pod: podOf({
        spec: {
          volumes: [{ name: "aws-iam-token", emptyDir: {} }],
          containers: [
            {
              name: "app",
              env: [env("AWS_ROLE_ARN", ROLE), env("AWS_WEB_IDENTITY_TOKEN_FILE", file)],
              volumeMounts: [ours],
            },
          ],
        },
      }),
      reason: "foreign-volume",
      restartHelps: false,
      says: /reads ".*\/token"/,
    },
    "variables without the mount that they need": {
      pod: podOf({
        spec: {
          containers: [
            {
              name: "app",
              env: [env("AWS_ROLE_ARN", ROLE), env("AWS_WEB_IDENTITY_TOKEN_FILE", file)],
            },
          ],
        },
      }),
      reason: "foreign-volume",
      restartHelps: false,
      says: /reads ".*\/token"/,
    },
    "a token for another audience": {
      pod: injected(podOf(), accountOf(ROLE, { "eks.amazonaws.com/audience": "other" })),
      reason: "foreign-volume",
      restartHelps: false,
      says: /no token for "sts.amazonaws.com"|reads/,
    },
    "container credentials where a role is wanted": {
      pod: podOf({
        spec: {
          containers: [
            {
              name: "app",
              env: [
                env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/v1"),
                env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/t/token"),
              ],
            },
          ],
        },
      }),
      reason: "other-role",
      restartHelps: true,
      says: /has AWS_CONTAINER_CREDENTIALS_FULL_URI where AWS_ROLE_ARN is wanted/,
    },
    "a container in the way of another one's cure": {
      pod: podOf({
        spec: {
          containers: [{ name: "app" }, { name: "odd", env: [env("AWS_ROLE_ARN", ROLE)] }],
        },
      }),
      reason: "no-token",
      restartHelps: false,
      says: /Mend its other containers/,
    },
  };
  for (const [name, { pod, account, reason, restartHelps, says }] of Object.entries(cases)) {
    it(`${name}: ${reason}`, () => {
      const finding = find(pod, account);
      assert.equal(finding?.reason, reason);
      assert.equal(finding?.restartHelps, restartHelps);
      assert.match(finding?.message ?? "", says);
      assert.equal(finding?.roleArn, ROLE);
    });
  }

  const createdAtMs = Date.parse(CREATED);
  for (const [roleSetAtMs, reason] of [
    [createdAtMs - 1000, "no-token"],
    [createdAtMs, "no-token"],
    [createdAtMs + 1000, "annotated-later"],
    [undefined, "no-token"],
  ] as const) {
    const when =
      roleSetAtMs === undefined ? "at an unknown time" : `${roleSetAtMs - createdAtMs} ms`;
    it(`without a token, the role set ${when} after the pod: ${reason}`, () => {
      assert.equal(find(podOf(), accountOf(ROLE), roleSetAtMs)?.reason, reason);
    });
  }
});

describe("findingOf: container credentials are wanted", () => {
  const serviceAccount = accountOf(ROLE);
  const association = { containerCredentials: true, configMap: undefined };
  const input = { serviceAccount, association, settings };
  const wanted = (pod: Pod): Pod => {
    const { operations } = mutationOf({ ...input, pod });
    const patch = structuredClone([...operations]);
    return parsePod(jsonPatch.applyPatch(structuredClone(pod), patch, true).newDocument);
  };

  it("nothing is wrong with a pod that has them", () => {
    assert.equal(findingOf({ ...input, pod: wanted(podOf()) }), undefined);
  });

  it("a pod without any identity: no-token", () => {
    const finding = findingOf({ ...input, pod: podOf() });
    assert.equal(finding?.reason, "no-token");
    assert.match(finding?.message ?? "", /has no AWS_CONTAINER_CREDENTIALS_FULL_URI/);
    assert.equal(finding?.restartHelps, true);
  });

  it("a pod with the role of its annotation: other-role", () => {
    const finding = findingOf({ ...input, pod: injected(podOf()) });
    assert.equal(finding?.reason, "other-role");
    assert.match(finding?.message ?? "", /has AWS_ROLE_ARN where AWS_CONTAINER_CREDENTIALS/);
  });

  it("a pod with them, the role of its annotation wanted: other-role", () => {
    assert.equal(find(wanted(podOf()))?.reason, "other-role");
  });
});

describe("findingOf: the namespace", () => {
  const inputs = { pod: podOf(), settings, tier: "required" } as const;

  it("asks for its default role where the ServiceAccount names none", () => {
    const policy = { defaultRoleArn: OTHER_ROLE };
    const finding = findingOf({ ...inputs, serviceAccount: accountOf(undefined), policy });
    assert.equal(finding?.reason, "no-token");
    assert.equal(finding?.roleArn, OTHER_ROLE);
  });

  it("that does not allow the role makes it no finding: nobody should carry it", () => {
    const policy = { allowedRoles: [OTHER_ROLE] };
    assert.equal(findingOf({ ...inputs, serviceAccount: accountOf(ROLE), policy }), undefined);
  });

  it("that requires an identity hides no conflict of one container", () => {
    const spec = {
      volumes: [{ name: "other", emptyDir: {} }],
      containers: [
        { name: "app", volumeMounts: [{ name: "other", mountPath: MOUNT_PATH }] },
        { name: "log" },
      ],
    };
    const pod = podOf({ spec });
    const finding = findingOf({ ...inputs, pod, serviceAccount: accountOf(ROLE) });
    assert.equal(finding?.reason, "no-token");
    assert.match(finding?.message ?? "", /^(?!.*container "app").*container "log"/);
  });
});
