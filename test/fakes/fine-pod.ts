import assert from "node:assert/strict";
import { it } from "node:test";
import jsonPatch from "fast-json-patch";
import { explainPod } from "../../cli/explain/explain-pod.ts";
import { identityWebhooksIn } from "../../cli/explain/identity-webhook.ts";
import type { Found, ObservedWebhook, Snapshot } from "../../cli/explain/snapshot.ts";
import type { StepId, StepStatus } from "../../cli/explain/step.ts";
import { defineConfig } from "../../lib/config.ts";
import type { KubeObject } from "../../lib/kube/kube-object.ts";
import {
  givenRoleAccount,
  MUTATION_SETTINGS,
  mutationSettingsOf,
} from "../../webhook/mutation/mutation-config.ts";
import { mutationOf } from "../../webhook/mutation/mutation.ts";
import { parsePod } from "../../webhook/pod/pod.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";

export const ROLE = "arn:aws:iam::111122223333:role/reader";
export const ROLE_KEY = "eks.amazonaws.com/role-arn";
const config = defineConfig(MUTATION_SETTINGS).parse([], {});
export const settings = mutationSettingsOf(config, givenRoleAccount(config));

/** What could be read, and why something else could not. */
export const found = <T>(value: T): Found<T> => ({ status: "found", value });
export const FORBIDDEN = { status: "forbidden", right: "get x/y -n team" } as const;
export const FAILED = { status: "failed", problem: "it broke" } as const;
export const MISSING = { status: "missing" } as const;

/** The pod's ServiceAccount, whose annotations somebody wrote at this time. */
export function account(annotations: Record<string, string>, time?: string): Found<KubeObject> {
  const fields = Object.fromEntries(Object.keys(annotations).map((key) => [`f:${key}`, {}]));
  const fieldsV1 = { "f:metadata": { "f:annotations": fields } };
  const managedFields = time === undefined ? [] : [{ time, fieldsV1 }];
  return found({ metadata: { name: "reader", annotations, managedFields } });
}

/** The pod's namespace. */
export function namespaceWith(
  labels: Record<string, string>,
  annotations: Record<string, string> = {},
): Found<KubeObject> {
  return found({ metadata: { name: "team", labels, annotations } });
}

const ENABLED = namespaceWith({ "irsa-anywhere.io/injection": "enabled" });
export const REQUIRED = namespaceWith({ "irsa-anywhere.io/injection": "required" });
const service = { namespace: "eks", name: "webhook" };
const TRUSTED = { status: "trusted", address: "10.0.0.1:443", expiresAtMs: 0 } as const;

/** Our webhook, ready and trusted unless that is changed. */
export function webhooks(
  change: Partial<ObservedWebhook> = {},
  options: object = {},
): Found<readonly ObservedWebhook[]> {
  const clientConfig = { service, caPem: "PEM" };
  const item = mutatingWebhookConfiguration({ name: "irsa", clientConfig, ...options });
  const own = { readyEndpoints: found(2), tls: TRUSTED, ...change };
  return found(identityWebhooksIn({ items: [item] }).map((webhook) => ({ ...webhook, ...own })));
}
interface Template {
  readonly metadata?: object;
  readonly spec?: object;
}

/** The pod as the webhook never saw it. */
export function bare({ metadata = {}, spec = {} }: Template = {}): object {
  return {
    metadata: {
      name: "web",
      namespace: "team",
      creationTimestamp: "2026-01-01T10:00:00Z",
      ...metadata,
    },
    spec: { serviceAccountName: "reader", containers: [{ name: "app" }], ...spec },
    status: { phase: "Running" },
  };
}

/** The pod as the webhook lets it pass. */
export function served(template: Template = {}, role = ROLE): object {
  const pod = bare(template);
  const serviceAccount = { status: "found", annotations: { [ROLE_KEY]: role } } as const;
  const { operations } = mutationOf({ pod: parsePod(pod), serviceAccount, settings });
  const patch = structuredClone([...operations]);
  return jsonPatch.applyPatch(structuredClone(pod), patch, true).newDocument;
}

/** A pod that has its identity, and nothing in its way. */
export const FINE: Snapshot = {
  namespace: "team",
  name: "web",
  pod: served(),
  namespaceObject: ENABLED,
  serviceAccount: account({ [ROLE_KEY]: ROLE }, "2026-01-01T09:00:00Z"),
  configMapEntry: found(undefined),
  webhooks: webhooks(),
  shims: found([]),
  events: found([]),
  inCluster: true,
  sharesLoopback: false,
};

/** A variable of a container; one without a value comes from a Secret. */
export const env = (name: string, value?: string): object =>
  value === undefined
    ? { name, valueFrom: { secretKeyRef: { name: "s", key: "k" } } }
    : { name, value };
export const withEnv = (...variables: readonly object[]): Template => ({
  spec: { containers: [{ name: "app", env: variables }] },
});

type Case = readonly [
  name: string,
  change: Partial<Snapshot>,
  step: StepId,
  status: StepStatus,
  says: RegExp,
];

/** Tests that one step says so of the fine pod with a change. */
export function itSays(cases: readonly Case[]): void {
  for (const [name, change, id, status, says] of cases) {
    it(`${id}: ${name}: ${status}`, () => {
      const { steps } = explainPod({ ...FINE, ...change }, settings);
      const step = steps.find((candidate) => candidate.id === id);
      const { found: values = "", meaning = "", next = "" } = step ?? {};
      assert.equal(step?.status, status, `${values} ${meaning}`);
      assert.match(`${values} ${meaning} ${next}`, says);
    });
  }
}
