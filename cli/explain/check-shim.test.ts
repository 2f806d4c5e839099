import assert from "node:assert/strict";
import { describe, it } from "node:test";
import pico from "picocolors";
import { found, ROLE, settings } from "../../test/fakes/fine-pod.ts";
import { explainPod } from "./explain-pod.ts";
import { metadataShimsIn } from "./metadata-shims.ts";
import { renderExplanation } from "./render-explanation.ts";
import type { ObservedShim, Snapshot } from "./snapshot.ts";

const BASE = "--base-role-arn=arn:aws:iam::111122223333:role/";

function shim(args: readonly string[], changes: Partial<ObservedShim> = {}): Snapshot["shims"] {
  const item = {
    metadata: { namespace: "irsa", name: "irsa-shim" },
    spec: {
      selector: { matchLabels: { app: "shim" } },
      template: { spec: { containers: [{ args: ["shim", ...args] }] } },
    },
  };
  const own = { onNode: found("ready" as const), taints: found([]), ...changes };
  return found(metadataShimsIn({ items: [item] }).map((one) => ({ ...one, ...own })));
}

function pod({
  annotations = {},
  spec = {},
  env = [],
}: {
  readonly annotations?: object;
  readonly spec?: object;
  readonly env?: readonly object[];
} = {}): object {
  return {
    metadata: { name: "web", namespace: "team", uid: "1", annotations },
    spec: {
      serviceAccountName: "reader",
      nodeName: "node-1",
      containers: [{ name: "app", env }],
      ...spec,
    },
    status: { phase: "Running", podIP: "10.1.0.2" },
  };
}

const LEGACY = pod({ annotations: { "iam.amazonaws.com/role": "reader" } });

const SNAPSHOT: Snapshot = {
  namespace: "team",
  name: "web",
  pod: LEGACY,
  namespaceObject: found({ metadata: { name: "team" } }),
  serviceAccount: found({ metadata: { name: "reader", uid: "2" } }),
  configMapEntry: found(undefined),
  webhooks: found([]),
  shims: shim(["--profile=kube2iam", BASE]),
  events: found([]),
  inCluster: true,
  sharesLoopback: false,
};

/** What is written about the shim, and the end; steps have no numbers here. */
function told(changes: Partial<Snapshot>): string {
  const explanation = explainPod({ ...SNAPSHOT, ...changes }, settings);
  const steps = explanation.steps.filter(({ id }) => id.startsWith("shim"));
  const text = renderExplanation({ ...explanation, steps }, pico.createColors(false));
  return text.replaceAll(/^(.) \d+\. /gm, "$1 ");
}

const READY = "✔ Metadata shim: irsa/irsa-shim, profile kube2iam, ready on node-1\n";
const HAS_ROLE = `✔ Role by the shim: ${ROLE}, shown as reader, audience sts.amazonaws.com\n`;
const BY_ADDRESS =
  "✔ Use of the shim: by 10.1.0.2, session tokens optional by the shim's settings\n";
const GETS = `\n✔ Pod team/web gets the AWS identity ${ROLE} from the metadata shim.\n`;
const HAS_NONE = "\n✘ Pod team/web has no working AWS identity: ";
const NO_WEBHOOK = `Namespace label: no irsa-anywhere.io/injection.
  Next: kubectl label namespace team irsa-anywhere.io/injection=enabled --overwrite
`;

describe("irsa explain about the metadata shim", () => {
  const cases: Readonly<Record<string, readonly [Partial<Snapshot>, string]>> = {
    "a pod with an annotation of kube2iam": [{}, READY + HAS_ROLE + BY_ADDRESS + GETS],
    "no shim": [{ shims: found([]) }, HAS_NONE + NO_WEBHOOK],
    "shims that may not be read": [
      { shims: { status: "forbidden", right: "list daemonsets.apps -A" } },
      `? Metadata shim: you may not read the DaemonSets
    The right that is missing: list daemonsets.apps -A.
    $ kubectl auth can-i list daemonsets.apps -A
${HAS_NONE}${NO_WEBHOOK}`,
    ],
    "a shim that is not ready on the node": [
      { shims: shim(["--profile=kube2iam", BASE], { onNode: found("not ready") }) },
      `✘ Metadata shim: irsa/irsa-shim, profile kube2iam, not ready on node-1
    Until it is, pods of this node get a refused connection, or the node's own service before the rules are in.
    $ kubectl get pods -n irsa -o wide --field-selector spec.nodeName=node-1
${HAS_ROLE}${BY_ADDRESS}${HAS_NONE}Metadata shim: irsa/irsa-shim, profile kube2iam, not ready on node-1.
  Next: kubectl get pods -n irsa -o wide --field-selector spec.nodeName=node-1
`,
    ],
    "a shim that does not run on the node": [
      { shims: shim(["--profile=kube2iam", BASE], { onNode: found("absent") }) },
      `✘ Metadata shim: irsa/irsa-shim, profile kube2iam, absent on node-1
    Pods of this node have no shim: see its nodeSelector and tolerations.
    $ kubectl describe daemonset irsa-shim -n irsa
${HAS_ROLE}${BY_ADDRESS}${HAS_NONE}Metadata shim: irsa/irsa-shim, profile kube2iam, absent on node-1.
  Next: kubectl describe daemonset irsa-shim -n irsa
`,
    ],
    "a start-up taint that is still there": [
      {
        shims: shim(["--profile=kube2iam", BASE, "--remove-taint=a.io/not-ready"], {
          taints: found(["other", "a.io/not-ready"]),
        }),
      },
      `• Metadata shim: irsa/irsa-shim, profile kube2iam, ready on node-1, taint a.io/not-ready
    The node keeps its start-up taint: the shim could not take it away.
    $ kubectl describe node node-1
${HAS_ROLE}${BY_ADDRESS}${GETS}`,
    ],
    "a pod without a node": [
      {
        pod: pod({
          annotations: { "iam.amazonaws.com/role": "reader" },
          spec: { nodeName: undefined },
        }),
        shims: shim(["--profile=kube2iam", BASE], { onNode: undefined, taints: undefined }),
      },
      `• Metadata shim: irsa/irsa-shim, profile kube2iam; the pod has no node yet
${HAS_ROLE}• Use of the shim: the pod has no address of its own
    The shim knows pods that run, by the addresses in their status.
${GETS}`,
    ],
    "a namespace that kiam's annotation is missing from": [
      { shims: shim(["--profile", "kiam", BASE]) },
      `✔ Metadata shim: irsa/irsa-shim, profile kiam, ready on node-1
✘ Role by the shim: none
    Role ${ROLE} is not permitted in this namespace: it has no iam.amazonaws.com/permitted.
    $ kubectl get namespace team -o yaml
${BY_ADDRESS}${HAS_NONE}${NO_WEBHOOK}`,
    ],
    "an annotation that strict does not read": [
      { shims: shim([]) },
      `✔ Metadata shim: irsa/irsa-shim, profile strict, ready on node-1
• Role by the shim: none in the profile strict
✔ Use of the shim: by 10.1.0.2, session tokens required by the shim's settings
    Software that knows no session tokens (IMDSv1) gets 401 without irsa-anywhere.io/http-tokens: optional.
${HAS_NONE}${NO_WEBHOOK}`,
    ],
    "a ServiceAccount with a role in strict, and no webhook": [
      {
        shims: shim([]),
        serviceAccount: found({
          metadata: {
            name: "reader",
            uid: "2",
            annotations: { "eks.amazonaws.com/role-arn": ROLE },
          },
        }),
        pod: pod({ annotations: { "irsa-anywhere.io/http-tokens": "optional" } }),
      },
      `✔ Metadata shim: irsa/irsa-shim, profile strict, ready on node-1
${HAS_ROLE}✔ Use of the shim: by 10.1.0.2, session tokens optional by the pod's annotation
${GETS}`,
    ],
    "a pod on the host's network": [
      {
        pod: pod({
          annotations: { "iam.amazonaws.com/role": "reader" },
          spec: { hostNetwork: true },
        }),
      },
      `${READY}${HAS_ROLE}✘ Use of the shim: the pod is on the host's network
    No rule sees its requests, which reach the node's own metadata service.
${HAS_NONE}Use of the shim: the pod is on the host's network.
`,
    ],
    "a pod that is told not to ask": [
      {
        pod: pod({
          annotations: { "iam.amazonaws.com/role": "reader" },
          env: [{ name: "AWS_EC2_METADATA_DISABLED", value: "true" }],
        }),
      },
      `${READY}${HAS_ROLE}✘ Use of the shim: AWS_EC2_METADATA_DISABLED in app
    SDKs with this variable never ask the metadata service.
${HAS_NONE}Use of the shim: AWS_EC2_METADATA_DISABLED in app.
`,
    ],
    "static keys, which win": [
      {
        pod: pod({
          annotations: { "iam.amazonaws.com/role": "reader" },
          env: [{ name: "AWS_ACCESS_KEY_ID", value: "AKIDEXAMPLE" }],
        }),
      },
      `${READY}${HAS_ROLE}${BY_ADDRESS}${HAS_NONE}Other credentials: AWS_ACCESS_KEY_ID in app.
  Next: kubectl get pod web -n team -o yaml
`,
    ],
    "a base that only the shim's machine knows": [
      { shims: shim(["--profile=kube2iam", "--auto-discover-base-arn"]) },
      `${READY}? Role by the shim: role "reader" is a name, and there is no base ARN to put it behind
    The base of names is that of the shim's own machine, which is not known here.
${BY_ADDRESS}${HAS_NONE}${NO_WEBHOOK}`,
    ],
  };
  for (const [name, [changes, text]] of Object.entries(cases)) {
    it(`tells of ${name}`, () => assert.equal(told(changes), text));
  }

  it("says that a pod with web identity does not ask it, and that nothing is wrong with that", () => {
    const env = [
      { name: "AWS_ROLE_ARN", value: ROLE },
      { name: "AWS_WEB_IDENTITY_TOKEN_FILE", value: "/token" },
    ];
    const explanation = explainPod({ ...SNAPSHOT, pod: pod({ env }) }, settings);
    const step = explanation.steps.find(({ id }) => id === "shim-use");
    assert.deepEqual(step, {
      id: "shim-use",
      status: "ok",
      found: "not by app",
      meaning: "SDKs take the variables first, and never ask the metadata service.",
    });
  });
});
