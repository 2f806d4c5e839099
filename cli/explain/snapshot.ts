import type { KubeObject } from "../../lib/kube/kube-object.ts";
import type { ConfigMapEntry } from "../../webhook/identity/identity-source.ts";
import type { IdentityWebhook } from "./identity-webhook.ts";
import type { MetadataShim } from "./metadata-shims.ts";

/** What came of reading something from the cluster. */
export type Found<T> =
  | { readonly status: "found"; readonly value: T }
  | { readonly status: "missing" }
  /** What the user may not do, as `kubectl auth can-i` takes it: `get namespaces/team`. */
  | { readonly status: "forbidden"; readonly right: string }
  | { readonly status: "failed"; readonly problem: string };

/** What a TLS connection from here to the webhook said about its certificate. */
export type TlsOutcome =
  | { readonly status: "trusted"; readonly address: string; readonly expiresAtMs: number }
  | { readonly status: "untrusted"; readonly address: string; readonly problem: string }
  | { readonly status: "unreachable"; readonly address: string; readonly problem: string };

/** A webhook with what could be learned about the server behind it. */
export interface ObservedWebhook extends IdentityWebhook {
  /** Addresses behind its Service that are ready; undefined for a URL. */
  readonly readyEndpoints: Found<number> | undefined;
  /** Undefined when there was no address to try. */
  readonly tls: TlsOutcome | undefined;
}

/** A metadata shim, with how it stands on the node of the pod. */
export interface ObservedShim extends MetadataShim {
  /** Undefined when the pod has no node yet. */
  readonly onNode: Found<"ready" | "not ready" | "absent"> | undefined;
  /** Keys of the taints of that node; undefined when the pod has none yet. */
  readonly taints: Found<readonly string[]> | undefined;
}

/** An Event about the pod. */
export interface PodEvent {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

/** All that was read about one pod, at one time. */
export interface Snapshot {
  readonly namespace: string;
  readonly name: string;
  /** As the API server has it. */
  readonly pod: unknown;
  readonly namespaceObject: Found<KubeObject>;
  /** Missing also when the pod names none. */
  readonly serviceAccount: Found<KubeObject>;
  /** Its entry in the webhook's ConfigMap; undefined when the webhook has none, or it no entry. */
  readonly configMapEntry: Found<ConfigMapEntry | undefined>;
  readonly webhooks: Found<readonly ObservedWebhook[]>;
  readonly shims: Found<readonly ObservedShim[]>;
  /** Those about the identity of the pod. */
  readonly events: Found<readonly PodEvent[]>;
  /** Whether this was read from inside the cluster, where addresses of Services mean something. */
  readonly inCluster: boolean;
  /** Whether 127.0.0.1 is the machine of the API server, too. */
  readonly sharesLoopback: boolean;
}
