import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import jsonPatch from "fast-json-patch";
import { defineConfig } from "../../lib/config.ts";
import { MUTATION_SETTINGS, mutationSettingsOf } from "./mutation-config.ts";
import { injectionOf, type Injection } from "./patch.ts";
import { parsePod } from "../pod/pod.ts";

// What holds for every pod; case by case it is fixtures/*.yaml.

const SETTINGS = mutationSettingsOf(defineConfig(MUTATION_SETTINGS).parse([], {}), undefined);
const LABEL = "eks.amazonaws.com/pod-identity";
const CC_MOUNT_PATH = SETTINGS.containerCredentials.mountPath;
const MOUNT_PATH = "/var/run/secrets/eks.amazonaws.com/serviceaccount";

interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly subPath?: string | undefined;
}
type Container = Readonly<Record<string, unknown>> & {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null | undefined;
  readonly volumeMounts?: readonly Mount[] | null | undefined;
};
interface Spec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[] | null | undefined;
  readonly volumes?: readonly { readonly name: string; readonly projected?: unknown }[] | null;
}
interface Pod {
  readonly metadata?:
    | { readonly labels?: Readonly<Record<string, string>> | undefined }
    | undefined;
  readonly spec: Spec;
}

const anyFields = fc.dictionary(
  fc.stringMatching(/^x[a-z~/.]{0,6}$/),
  fc.jsonValue({ maxDepth: 2 }),
  { maxKeys: 2 },
);
/** Adds fields that no Kubernetes knows. */
function withAnyFields<T extends object>(item: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.tuple(anyFields, item).map(([extra, known]) => ({ ...extra, ...known }));
}
/** A record of which fields other than `name` may be absent or null. */
function recordOf<T extends object>(model: {
  [K in keyof T]: fc.Arbitrary<T[K]>;
}): fc.Arbitrary<T> {
  return withAnyFields(fc.record(model, { requiredKeys: [] })) as fc.Arbitrary<T>;
}

const VOLUME_NAMES = ["aws-iam-token", "eks-pod-identity-token", "data", "kube-api-access"];
const variable = fc.record({
  name: fc.constantFrom(
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_ROLE_SESSION_NAME",
    "AWS_EC2_METADATA_DISABLED",
    "HOME",
  ),
  value: fc.string(),
});
const mount = fc.record({
  name: fc.constantFrom(...VOLUME_NAMES),
  mountPath: fc.constantFrom(
    MOUNT_PATH,
    `${MOUNT_PATH}/`,
    `${MOUNT_PATH}/token`,
    CC_MOUNT_PATH,
    "/data",
    "/",
  ),
  subPath: fc.constantFrom("", "", "token"),
});
function containerNamed(prefix: string): fc.Arbitrary<Container> {
  const name = fc.constantFrom("a", "b", "c").map((letter) => `${prefix}-${letter}`);
  const rest = recordOf<Omit<Container, "name">>({
    env: fc.option(fc.array(withAnyFields(variable), { maxLength: 4 })),
    volumeMounts: fc.option(
      fc.uniqueArray(withAnyFields(mount), { maxLength: 3, selector: (m) => m.mountPath }),
    ),
  });
  return fc.tuple(name, rest).map(([n, fields]) => ({ ...fields, name: n }));
}
const token = { audience: "sts.amazonaws.com", expirationSeconds: 3600, path: "token" };
const volume = fc
  .tuple(
    fc.constantFrom(...VOLUME_NAMES),
    fc.constantFrom(
      { emptyDir: {} },
      { projected: { sources: [{ serviceAccountToken: token }] } },
      { projected: { sources: [{ serviceAccountToken: { ...token, audience: "" } }] } },
      {
        projected: {
          sources: [
            {
              serviceAccountToken: {
                audience: "pods.eks.amazonaws.com",
                path: "eks-pod-identity-token",
              },
            },
          ],
        },
      },
      { projected: null },
    ),
  )
  .map(([name, source]) => ({ name, ...source }));
const spec = fc
  .tuple(
    fc.array(containerNamed("c"), { minLength: 1, maxLength: 3 }),
    recordOf<Omit<Spec, "containers">>({
      initContainers: fc.option(fc.array(containerNamed("i"), { maxLength: 2 })),
      volumes: fc.option(fc.uniqueArray(withAnyFields(volume), { selector: (v) => v.name })),
    }),
  )
  .map(([containers, rest]) => ({ ...rest, containers }));
const labels = fc.dictionary(
  fc.constantFrom("app", LABEL, "a.b/c~d"),
  fc.constantFrom("enabled", "web"),
);
const metadata = recordOf<NonNullable<Pod["metadata"]>>({ labels });
const pods: fc.Arbitrary<Pod> = withAnyFields(
  fc.record({ spec, metadata: fc.option(metadata, { nil: undefined }) }),
);

const inputs = fc.record({
  method: fc.constantFrom("web-identity", "container-credentials"),
  pod: pods,
  region: fc.constantFrom("", "eu-west-1"),
  regionalSts: fc.boolean(),
  /** All variables that a switch turns on. */
  extras: fc.boolean(),
  skipped: fc.subarray(["c-a", "i-b"]),
});
type Input = typeof inputs extends fc.Arbitrary<infer T> ? T : never;

function inject(
  { method, pod, region, regionalSts, extras, skipped }: Input,
  isRunning = false,
): Injection {
  const claims = { expirationSeconds: 86_400, regionalSts };
  return injectionOf(parsePod(pod), {
    identity:
      method === "web-identity"
        ? {
            ...claims,
            method: "web-identity",
            source: "service-account",
            audience: token.audience,
            roleArn: "arn:aws:iam::111122223333:role/s3-reader",
          }
        : {
            ...claims,
            method: "container-credentials",
            source: "container-credentials",
            audience: "pods.eks.amazonaws.com",
          },
    settings: {
      ...SETTINGS,
      region,
      roleSessionName: extras,
      disableEc2Metadata: extras,
      fipsEndpoints: extras,
      dualStackEndpoints: extras,
    },
    isSelected: ({ name }) => !skipped.includes(name ?? ""),
    isRunning,
  });
}

/** The pod after the patch, applied by an implementation that is not ours. */
function injected(input: Input): Pod {
  const operations = structuredClone([...inject(input).operations]);
  return jsonPatch.applyPatch(structuredClone(input.pod), operations, true).newDocument;
}

function containersOf({ spec: { containers, initContainers } }: Pod): readonly Container[] {
  return [...containers, ...(initContainers ?? [])];
}

function without(object: object, ...fields: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !fields.includes(key)));
}

function isUnique(values: readonly unknown[] = []): boolean {
  return new Set(values).size === values.length;
}

/** Pairs of each container before and after. */
function pairsOf(before: Pod, after: Pod): readonly (readonly [Container, Container])[] {
  const afterwards = containersOf(after);
  return containersOf(before).map((container, i) => {
    const now = afterwards[i];
    assert.ok(now !== undefined);
    return [container, now];
  });
}

function holds(check: (input: Input, after: Pod) => void): void {
  fc.assert(
    fc.property(inputs, (input) => check(input, injected(input))),
    { numRuns: 500 },
  );
}

describe("injectionOf, whatever the pod", () => {
  it("only adds", () => {
    holds((input) => assert.ok(inject(input).operations.every(({ op }) => op === "add")));
  });

  it("gives nothing the second time", () => {
    holds((input, pod) => assert.deepEqual(inject({ ...input, pod }).operations, []));
  });

  it("keeps all fields, known and unknown", () => {
    holds(({ pod }, after) => {
      assert.deepEqual(without(after, "spec", "metadata"), without(pod, "spec", "metadata"));
      assert.deepEqual(
        without(after.metadata ?? {}, "labels"),
        without(pod.metadata ?? {}, "labels"),
      );
      assert.deepEqual(
        without(after.metadata?.labels ?? {}, LABEL),
        without(pod.metadata?.labels ?? {}, LABEL),
      );
      const label = pod.metadata?.labels?.[LABEL];
      if (label !== undefined) assert.equal(after.metadata?.labels?.[LABEL], label);
      const lists = ["containers", "initContainers", "volumes"];
      assert.deepEqual(without(after.spec, ...lists), without(pod.spec, ...lists));
      for (const [before, now] of pairsOf(pod, after)) {
        const own = ["env", "volumeMounts"];
        assert.deepEqual(without(now, ...own), without(before, ...own));
      }
    });
  });

  it("keeps the entries of all lists, in their order", () => {
    holds(({ pod }, after) => {
      const added = (after.spec.volumes?.length ?? 0) - (pod.spec.volumes?.length ?? 0);
      assert.deepEqual(after.spec.volumes?.slice(added) ?? [], pod.spec.volumes ?? []);
      for (const [before, now] of pairsOf(pod, after)) {
        for (const list of ["env", "volumeMounts"] as const) {
          const entries: readonly object[] = before[list] ?? [];
          assert.deepEqual((now[list] ?? []).slice(0, entries.length), entries);
        }
      }
    });
  });

  it("leaves skipped containers alone", () => {
    holds(({ pod, skipped }, after) => {
      for (const [before, now] of pairsOf(pod, after)) {
        if (skipped.includes(before.name)) assert.deepEqual(now, before);
      }
    });
  });

  it("duplicates no volume, no mount path and no variable", () => {
    holds(({ pod }, after) => {
      assert.ok(isUnique(after.spec.volumes?.map(({ name }) => name)));
      for (const [before, now] of pairsOf(pod, after)) {
        assert.ok(isUnique(now.volumeMounts?.map(({ mountPath }) => mountPath)));
        const old = before.env ?? [];
        const added = (now.env ?? []).slice(old.length).map(({ name }) => name);
        assert.ok(isUnique(added));
        assert.ok(added.every((name) => !old.some((entry) => entry.name === name)));
      }
    });
  });

  it("points the SDK only at a file that is a token for the one who asks", () => {
    holds(({ method, pod }, after) => {
      const isWeb = method === "web-identity";
      const [fileVariable, audience] = isWeb
        ? ["AWS_WEB_IDENTITY_TOKEN_FILE", "sts.amazonaws.com"]
        : ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "pods.eks.amazonaws.com"];
      for (const [before, { env, volumeMounts }] of pairsOf(pod, after)) {
        const added = env?.slice(before.env?.length ?? 0) ?? [];
        const file = added.find(({ name }) => name === fileVariable)?.value;
        if (file === undefined) continue;
        const at = (volumeMounts ?? []).filter(({ mountPath }) =>
          [file, file.replace(/\/[^/]+$/, "")].includes(mountPath.replace(/\/$/, "")),
        );
        const [serving] = at;
        assert.ok(serving !== undefined && at.length === 1, `one mount serves ${file}`);
        assert.ok(!serving.subPath);
        const source = after.spec.volumes?.find(({ name }) => name === serving.name);
        assert.ok(source !== undefined);
        assert.ok(JSON.stringify(source.projected).includes(`"audience":"${audience}"`));
      }
    });
  });

  it("gives only the variables of one method", () => {
    holds(({ method, pod }, after) => {
      const other = method === "web-identity" ? /AWS_CONTAINER_/ : /AWS_ROLE_ARN|AWS_WEB_IDENTITY_/;
      for (const [before, { env }] of pairsOf(pod, after)) {
        const added = env?.slice(before.env?.length ?? 0) ?? [];
        assert.ok(added.every(({ name }) => !other.test(name)));
      }
    });
  });

  it("changes nothing of a running pod but its ephemeral containers, once", () => {
    holds((input) => {
      const { containers } = input.pod.spec;
      const running = {
        ...input.pod,
        spec: { ...input.pod.spec, ephemeralContainers: containers },
      };
      const { operations } = inject({ ...input, pod: running }, true);
      assert.ok(operations.every(({ path }) => path.startsWith("/spec/ephemeralContainers/")));
      const pod = jsonPatch.applyPatch(
        structuredClone(running),
        structuredClone([...operations]),
        true,
      ).newDocument;
      assert.deepEqual(inject({ ...input, pod }, true).operations, []);
    });
  });
});
