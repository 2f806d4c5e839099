import assert from "node:assert/strict";
import { describe, it } from "node:test";
import jsonPatch from "fast-json-patch";
import { defineConfig } from "../../lib/config.ts";
import type { KubeObject } from "../../lib/kube/kube-object.ts";
import { givenRoleAccount, MUTATION_SETTINGS, mutationSettingsOf } from "../../webhook/config.ts";
import { mutationOf } from "../../webhook/mutation.ts";
import { parsePod } from "../../webhook/pod.ts";
import { mutatingWebhookConfiguration } from "../../webhook/webhook-configurations.ts";
import { explainPod } from "./explain-pod.ts";
import { identityWebhooksIn } from "./identity-webhook.ts";
import type { Found, ObservedWebhook, Snapshot } from "./snapshot.ts";
import type { StepId, StepStatus } from "./step.ts";

const ROLE = "arn:aws:iam::111122223333:role/reader";
const ROLE_KEY = "eks.amazonaws.com/role-arn";
const config = defineConfig(MUTATION_SETTINGS).parse([], {});
const settings = mutationSettingsOf(config, givenRoleAccount(config));

const found = <T>(value: T): Found<T> => ({ status: "found", value });
const FORBIDDEN = { status: "forbidden", right: "get x/y -n team" } as const;
const FAILED = { status: "failed", problem: "it broke" } as const;
const MISSING = { status: "missing" } as const;

function account(annotations: Record<string, string>, time?: string): Found<KubeObject> {
  const fields = Object.fromEntries(Object.keys(annotations).map((key) => [`f:${key}`, {}]));
  const fieldsV1 = { "f:metadata": { "f:annotations": fields } };
  const managedFields = time === undefined ? [] : [{ time, fieldsV1 }];
  return found({ metadata: { name: "reader", annotations, managedFields } });
}

function namespaceWith(
  labels: Record<string, string>,
  annotations: Record<string, string> = {},
): Found<KubeObject> {
  return found({ metadata: { name: "team", labels, annotations } });
}

const ENTRY = {
  key: "team/reader",
  roleArn: ROLE,
  audience: undefined,
  expirationSeconds: undefined,
  regionalSts: undefined,
};
const ENABLED = namespaceWith({ "irsa-anywhere.io/injection": "enabled" });
const REQUIRED = namespaceWith({ "irsa-anywhere.io/injection": "required" });
const service = { namespace: "eks", name: "webhook" };
const TRUSTED = { status: "trusted", address: "10.0.0.1:443", expiresAtMs: 0 } as const;
const UNTRUSTED = { status: "untrusted", address: "10.0.0.1:443", problem: "it is odd" } as const;
const UNREACHED = { status: "unreachable", address: "10.0.0.1:443", problem: "no way" } as const;

function webhooks(
  change: Partial<ObservedWebhook> = {},
  options: object = {},
): Found<readonly ObservedWebhook[]> {
  const clientConfig = { service, caPem: "PEM" };
  const item = mutatingWebhookConfiguration({ name: "irsa", clientConfig, ...options });
  const own = { readyEndpoints: found(2), tls: TRUSTED, ...change };
  return found(identityWebhooksIn({ items: [item] }).map((webhook) => ({ ...webhook, ...own })));
}
const url = (text: string, tls: ObservedWebhook["tls"]): Found<readonly ObservedWebhook[]> =>
  webhooks({ target: { kind: "url", url: text }, readyEndpoints: undefined, tls });

interface Template {
  readonly metadata?: object;
  readonly spec?: object;
}
function bare({ metadata = {}, spec = {} }: Template = {}): object {
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
function served(template: Template = {}, role = ROLE): object {
  const pod = bare(template);
  const serviceAccount = { status: "found", annotations: { [ROLE_KEY]: role } } as const;
  const { operations } = mutationOf({ pod: parsePod(pod), serviceAccount, settings });
  const patch = structuredClone([...operations]);
  return jsonPatch.applyPatch(structuredClone(pod), patch, true).newDocument;
}

const FINE: Snapshot = {
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

type Case = readonly [
  name: string,
  change: Partial<Snapshot>,
  step: StepId,
  status: StepStatus,
  says: RegExp,
];

const env = (name: string, value?: string): object =>
  value === undefined
    ? { name, valueFrom: { secretKeyRef: { name: "s", key: "k" } } }
    : { name, value };
const withEnv = (...variables: readonly object[]): Template => ({
  spec: { containers: [{ name: "app", env: variables }] },
});

describe("explainPod", () => {
  const cases: readonly Case[] = [
    ["label", {}, "namespace-label", "ok", /=enabled/],
    [
      "no label",
      { pod: bare(), namespaceObject: namespaceWith({}) },
      "namespace-label",
      "problem",
      /No webhook is asked.*kubectl label namespace team irsa-anywhere\.io\/injection=enabled/,
    ],
    [
      "no label, for a pod that has its identity",
      { namespaceObject: namespaceWith({}) },
      "namespace-label",
      "note",
      /No webhook is asked/,
    ],
    [
      "label with a value that means nothing",
      { pod: bare(), namespaceObject: namespaceWith({ "irsa-anywhere.io/injection": "true" }) },
      "namespace-label",
      "problem",
      /"true" means nothing: expected enabled or required/,
    ],
    [
      "no label where all namespaces are taken",
      { namespaceObject: namespaceWith({}), webhooks: webhooks({}, { allNamespaces: true }) },
      "namespace-label",
      "ok",
      /takes the pods of all namespaces/,
    ],
    [
      "namespace of Kubernetes",
      { pod: bare(), namespace: "kube-system", namespaceObject: namespaceWith({}) },
      "namespace-label",
      "problem",
      /never touches the namespaces of Kubernetes/,
    ],
    [
      "namespace unread",
      { namespaceObject: FORBIDDEN },
      "namespace-label",
      "unknown",
      /get x\/y -n team/,
    ],
    [
      "no label, and the configurations unread",
      { namespaceObject: namespaceWith({}), webhooks: FORBIDDEN },
      "namespace-label",
      "unknown",
      /could not be read/,
    ],
    ["tier enabled", {}, "tier", "ok", /enabled, failurePolicy Ignore.*start without/],
    [
      "tier required",
      { namespaceObject: REQUIRED },
      "tier",
      "ok",
      /required, failurePolicy Fail.*refused/,
    ],
    ["no tier", { namespaceObject: namespaceWith({}) }, "tier", "note", /nobody is told/],
    ["configuration", {}, "configuration", "ok", /irsa \(enabled\.irsa-anywhere\.io\)/],
    [
      "no configuration",
      { pod: bare(), webhooks: found([]) },
      "configuration",
      "problem",
      /no MutatingWebhookConfiguration.*kubectl get mutatingwebhookconfigurations/,
    ],
    ["configurations unread", { webhooks: FAILED }, "configuration", "unknown", /it broke/],
    [
      "configuration that never asks for pods",
      { pod: bare(), webhooks: webhooks({ asksForPods: false }) },
      "configuration",
      "problem",
      /lack CREATE of pods/,
    ],
    [
      "configuration that leaves the labelled namespace out",
      { pod: bare(), webhooks: webhooks({ takesNamespace: () => false }) },
      "configuration",
      "problem",
      /None of them takes this namespace/,
    ],
    [
      "two configurations for one pod",
      { webhooks: webhooks({ takesNamespace: () => true }) },
      "configuration",
      "note",
      /Several webhooks/,
    ],
    ["endpoints", {}, "reachable", "ok", /ready endpoints: 2/],
    [
      "no ready endpoint",
      { pod: bare(), webhooks: webhooks({ readyEndpoints: found(0) }) },
      "reachable",
      "problem",
      /ready endpoints: 0.*start without an identity.*endpointslices -n eks/,
    ],
    [
      "no Service",
      { pod: bare(), webhooks: webhooks({ readyEndpoints: MISSING, tls: undefined }) },
      "reachable",
      "problem",
      /no Service eks\/webhook/,
    ],
    [
      "Service that does not answer, from inside",
      { pod: bare(), webhooks: webhooks({ tls: UNREACHED }) },
      "reachable",
      "problem",
      /no way/,
    ],
    [
      "Service that does not answer, from outside",
      { pod: bare(), webhooks: webhooks({ tls: UNREACHED }), inCluster: false },
      "reachable",
      "ok",
      /ready endpoints: 2/,
    ],
    [
      "endpoints unread",
      { webhooks: webhooks({ readyEndpoints: FORBIDDEN }) },
      "reachable",
      "unknown",
      /auth can-i/,
    ],
    [
      "URL that does not answer",
      { pod: bare(), webhooks: url("https://hook.example.com/", UNREACHED) },
      "reachable",
      "problem",
      /no way.*curl -vk https:\/\/hook\.example\.com\//,
    ],
    [
      "URL that does not answer, where pods are refused",
      {
        pod: bare(),
        namespaceObject: REQUIRED,
        webhooks: url("https://hook.example.com/", UNREACHED),
      },
      "reachable",
      "problem",
      /pods are refused/,
    ],
    [
      "URL on the machine of the API server",
      { pod: bare(), webhooks: url("https://127.0.0.1:23443/mutate", UNREACHED) },
      "reachable",
      "unknown",
      /machine of the API server/,
    ],
    [
      "URL on this machine, where the API server is, too",
      {
        pod: bare(),
        webhooks: url("https://127.0.0.1:23443/mutate", UNREACHED),
        sharesLoopback: true,
      },
      "reachable",
      "problem",
      /no way/,
    ],
    [
      "URL that is none",
      { pod: bare(), webhooks: url("x", undefined) },
      "reachable",
      "problem",
      /no URL/,
    ],
    ["certificate", {}, "trusted", "ok", /caBundle verifies it until 1970-01-01/],
    [
      "certificate of another authority",
      { pod: bare(), webhooks: webhooks({ tls: UNTRUSTED }) },
      "trusted",
      "problem",
      /it is odd.*into caBundle/,
    ],
    [
      "certificate of whatever has that address outside",
      { pod: bare(), webhooks: webhooks({ tls: UNTRUSTED }), inCluster: false },
      "trusted",
      "unknown",
      /from inside the cluster only/,
    ],
    [
      "no certificate seen",
      { webhooks: webhooks({ tls: UNREACHED }) },
      "trusted",
      "unknown",
      /not seen/,
    ],
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
    ["ServiceAccount", {}, "service-account", "ok", /team\/reader/],
    [
      "ServiceAccount that is gone",
      { pod: bare(), serviceAccount: MISSING },
      "service-account",
      "problem",
      /deleted since.*kubectl create serviceaccount reader -n team/,
    ],
    [
      "no ServiceAccount",
      { pod: bare({ spec: { serviceAccountName: "" } }), serviceAccount: MISSING },
      "service-account",
      "problem",
      /names none/,
    ],
    ["ServiceAccount unread", { serviceAccount: FORBIDDEN }, "service-account", "unknown", /right/],
    ["annotation", {}, "annotation", "ok", /role-arn=arn:aws:iam::111122223333:role\/reader/],
    [
      "no annotation",
      { pod: bare(), serviceAccount: account({}) },
      "annotation",
      "problem",
      /Nobody asks for an AWS role.*kubectl annotate serviceaccount reader -n team/,
    ],
    [
      "empty annotation",
      { pod: bare(), serviceAccount: account({ [ROLE_KEY]: "" }) },
      "annotation",
      "problem",
      /is empty/,
    ],
    [
      "misspelt annotation",
      { pod: bare(), serviceAccount: account({ "eks.amazon.com/role-arn": ROLE }) },
      "annotation",
      "problem",
      /eks\.amazon\.com\/role-arn is not read: write eks\.amazonaws\.com\/role-arn/,
    ],
    [
      "role of the namespace instead",
      {
        serviceAccount: account({}),
        namespaceObject: namespaceWith(
          { "irsa-anywhere.io/injection": "enabled" },
          { "irsa-anywhere.io/default-role": ROLE },
        ),
      },
      "annotation",
      "ok",
      /from: namespace/,
    ],
    [
      "role of the ConfigMap instead",
      { serviceAccount: account({}), configMapEntry: found(ENTRY) },
      "annotation",
      "ok",
      /no eks\.amazonaws\.com\/role-arn; arn:.* from: config-map/,
    ],
    [
      "no annotation, and no ConfigMap",
      { pod: bare(), serviceAccount: account({}), configMapEntry: MISSING },
      "annotation",
      "problem",
      /Nobody asks/,
    ],
    [
      "no annotation, and a ConfigMap that may not be read",
      { pod: bare(), serviceAccount: account({}), configMapEntry: FORBIDDEN },
      "annotation",
      "unknown",
      /may not read the ConfigMap/,
    ],
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
    [
      "role that is no ARN, carried as it is",
      { pod: served({}, "reader"), serviceAccount: account({ [ROLE_KEY]: "reader" }) },
      "annotation",
      "problem",
      /role\/reader/,
    ],
    [
      "role that the namespace does not allow",
      {
        pod: bare(),
        namespaceObject: namespaceWith(
          { "irsa-anywhere.io/injection": "enabled" },
          { "irsa-anywhere.io/allowed-roles": "[]" },
        ),
      },
      "annotation",
      "problem",
      /allowed-roles.*kubectl get namespace team/,
    ],
    [
      "another annotation with a mistake",
      {
        serviceAccount: account({ [ROLE_KEY]: ROLE, "eks.amazonaws.com/token-expiration": "1d" }),
      },
      "annotation",
      "note",
      /1d/,
    ],
    ["annotation that was first", {}, "age", "ok", /annotation 2026-01-01T09:00:00Z/],
    [
      "annotation in the second of the pod",
      { pod: bare(), serviceAccount: account({ [ROLE_KEY]: ROLE }, "2026-01-01T10:00:00Z") },
      "age",
      "ok",
      /./,
    ],
    [
      "annotation a second after the pod",
      { pod: bare(), serviceAccount: account({ [ROLE_KEY]: ROLE }, "2026-01-01T10:00:01Z") },
      "age",
      "problem",
      /was there first.*kubectl delete pod web -n team/,
    ],
    [
      "annotation that was written again after the pod got it",
      { serviceAccount: account({ [ROLE_KEY]: ROLE }, "2026-01-02T10:00:00Z") },
      "age",
      "ok",
      /./,
    ],
    [
      "annotation without a time",
      { serviceAccount: account({ [ROLE_KEY]: ROLE }) },
      "age",
      "unknown",
      /no time/,
    ],
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
  ];
  for (const [name, change, id, status, says] of cases) {
    it(`${id}: ${name}: ${status}`, () => {
      const { steps } = explainPod({ ...FINE, ...change }, settings);
      const step = steps.find((candidate) => candidate.id === id);
      const { found: values = "", meaning = "", next = "" } = step ?? {};
      assert.equal(step?.status, status, `${values} ${meaning}`);
      assert.match(`${values} ${meaning} ${next}`, says);
    });
  }

  it("is fine when nothing keeps the pod from its identity", () => {
    const { fine, verdict, next } = explainPod(FINE, settings);
    assert.deepEqual(
      { fine, verdict, next },
      { fine: true, verdict: `Pod team/web has the AWS identity ${ROLE}.`, next: undefined },
    );
  });

  it("is fine for a pod that brings its own web identity", () => {
    const serviceAccountToken = { audience: "sts.amazonaws.com", path: "token" };
    const pod = bare({
      spec: {
        volumes: [{ name: "mine", projected: { sources: [{ serviceAccountToken }] } }],
        containers: [
          {
            name: "app",
            env: [env("AWS_ROLE_ARN", ROLE), env("AWS_WEB_IDENTITY_TOKEN_FILE", "/mine/token")],
            volumeMounts: [{ name: "mine", mountPath: "/mine" }],
          },
        ],
      },
    });
    const change = { pod, serviceAccount: account({}), namespaceObject: namespaceWith({}) };
    assert.equal(explainPod({ ...FINE, ...change }, settings).fine, true);
  });

  it("says of a pod with kube2iam's annotation what the webhook does for the shim", () => {
    const forShim = { ...settings, shimAnnotation: "iam.amazonaws.com/role" };
    const pod = bare({ metadata: { annotations: { "iam.amazonaws.com/role": "reader" } } });
    const serviceAccount = { status: "found", annotations: {} } as const;
    const decided = mutationOf({ pod: parsePod(pod), serviceAccount, settings: forShim });
    const patched = jsonPatch.applyPatch(
      structuredClone(pod),
      structuredClone([...decided.operations]),
      true,
    ).newDocument;
    for (const seen of [pod, patched]) {
      const { steps } = explainPod({ ...FINE, pod: seen, serviceAccount: account({}) }, forShim);
      assert.deepEqual(
        steps.find(({ id }) => id === "decision"),
        {
          id: "decision",
          status: "note",
          found: "it would get a token for the metadata shim, and no identity of its own",
          meaning: "The shim on its node decides on its role.",
        },
      );
    }
  });

  it("names the first cause and the first command", () => {
    const change = { pod: bare(), namespaceObject: namespaceWith({}), serviceAccount: account({}) };
    const { fine, verdict, next } = explainPod({ ...FINE, ...change }, settings);
    assert.equal(fine, false);
    assert.match(verdict, /Namespace label: no irsa-anywhere\.io\/injection\.$/);
    assert.match(next ?? "", /^kubectl label namespace team/);
  });

  it("looks at everything in the order in which an identity comes about", () => {
    const ids = explainPod(FINE, settings).steps.map(({ id }) => id);
    assert.equal(new Set(ids).size, 15);
    assert.deepEqual([ids[0], ids.at(-1)], ["namespace-label", "events"]);
  });
});
