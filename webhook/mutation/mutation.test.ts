import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import jsonPatch from "fast-json-patch";
import { parse } from "yaml";
import { defineConfig } from "../../lib/config.ts";
import { applyOperations } from "./apply-operations.ts";
import { givenRoleAccount, MUTATION_SETTINGS, mutationSettingsOf } from "./mutation-config.ts";
import { NO_ASSOCIATION, UNREAD_ENTRY, type Association } from "../identity/identity-source.ts";
import { mutationOf, type Mutation, type ServiceAccountState } from "./mutation.ts";
import { parseNamespacePolicy } from "../../lib/namespace-policy.ts";
import { parsePod, type Annotations } from "../pod/pod.ts";
import type { Tier } from "../coverage/tier.ts";

interface Fixture {
  readonly flags?: readonly string[];
  /** Annotations, or the status of a ServiceAccount that has none to give. */
  readonly serviceAccount: Annotations | Exclude<ServiceAccountState["status"], "found">;
  readonly association?: Partial<Association>;
  /** Whether the ConfigMap could not be read. */
  readonly configurationUnread?: boolean;
  /** Place in the jitter, in [0, 1). */
  readonly random?: number;
  /** Names of the new ones, when the review is about these. */
  readonly ephemeralContainers?: readonly string[];
  readonly pod: object;
  readonly reason: string;
  readonly patch: readonly { readonly add: string; readonly value: unknown }[];
  readonly warnings?: readonly string[];
  readonly tier?: Tier;
  /** Annotations of the namespace. */
  readonly namespace?: Annotations;
  readonly denial?: string;
}

const reader = defineConfig(MUTATION_SETTINGS);
const directory = new URL("../fixtures/", import.meta.url);

function mutate({
  flags = [],
  serviceAccount,
  association,
  configurationUnread = false,
  ephemeralContainers,
  random,
  pod,
  tier,
  namespace = {},
}: Omit<Fixture, "reason" | "patch">): Mutation {
  const config = reader.parse(flags, {});
  return mutationOf({
    pod: parsePod(pod),
    serviceAccount:
      typeof serviceAccount === "string"
        ? { status: serviceAccount }
        : { status: "found", annotations: serviceAccount },
    association: {
      ...NO_ASSOCIATION,
      ...(configurationUnread ? { configMap: UNREAD_ENTRY } : {}),
      ...association,
    },
    settings: mutationSettingsOf(config, givenRoleAccount(config)),
    random,
    ephemeralContainers: ephemeralContainers && new Set(ephemeralContainers),
    tier,
    policy: parseNamespacePolicy(namespace).policy,
  });
}

/** Applies a patch by an implementation that is not ours, to a copy. */
function patched(pod: object, { operations }: Mutation): object {
  return jsonPatch.applyPatch(structuredClone(pod), structuredClone([...operations]), true)
    .newDocument;
}

describe("mutationOf, case by case", () => {
  for (const file of readdirSync(directory)) {
    const text = readFileSync(new URL(file, directory), "utf8");
    const fixture = parse(text) as Fixture;

    it(`${file}: ${/^# (.*)/.exec(text)?.[1]}`, () => {
      const before = structuredClone(fixture.pod);
      const mutation = mutate(fixture);
      assert.deepEqual(
        mutation.operations.map(({ op, path, value }) => ({ [op]: path, value })),
        fixture.patch,
      );
      assert.deepEqual(mutation.warnings, fixture.warnings ?? []);
      assert.equal(mutation.reason, fixture.reason);
      assert.equal(mutation.denial, fixture.denial);
      assert.deepEqual(fixture.pod, before, "the pod itself is not touched");
    });

    it(`${file}: our own way of applying it gives the same pod`, () => {
      const mutation = mutate(fixture);
      assert.deepEqual(
        applyOperations(fixture.pod, mutation.operations),
        patched(fixture.pod, mutation),
      );
    });

    it(`${file}: a second review gives no patch`, () => {
      const pod = patched(fixture.pod, mutate(fixture));
      assert.deepEqual(mutate({ ...fixture, pod }).operations, []);
    });
  }
});
