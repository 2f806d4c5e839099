import { describe } from "node:test";
import {
  bare,
  FAILED,
  FORBIDDEN,
  found,
  itSays,
  MISSING,
  namespaceWith,
  REQUIRED,
  webhooks,
} from "../../test/fakes/fine-pod.ts";
import type { Found, ObservedWebhook } from "./snapshot.ts";

const UNTRUSTED = {
  status: "untrusted",
  address: "10.0.0.1:443",
  problem: "it is odd",
} as const;
const UNREACHED = {
  status: "unreachable",
  address: "10.0.0.1:443",
  problem: "no way",
} as const;

const url = (text: string, tls: ObservedWebhook["tls"]): Found<readonly ObservedWebhook[]> =>
  webhooks({ target: { kind: "url", url: text }, readyEndpoints: undefined, tls });

describe("explainPod", () => {
  itSays([
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
  ]);
});
