import { z } from "zod";
import {
  HTTP_TOKENS_KEY,
  httpTokensOf,
  type Caller,
  type HttpTokens,
} from "../../metadata-shim/caller/caller.ts";
import { podKeeper } from "../../metadata-shim/caller/known-pod.ts";
import { serviceAccountKeeper } from "../../metadata-shim/role/role-source.ts";
import { decideRole } from "../../metadata-shim/role/decide-role.ts";
import { namespaceRulesOf } from "../../metadata-shim/role/namespace-rules.ts";
import { podKeysOf } from "../../metadata-shim/role/role-config.ts";
import type { RoleDecision } from "../../metadata-shim/role/role-decision.ts";
import type { ShimSettings } from "./metadata-shims.ts";
import type { Found, Snapshot } from "./snapshot.ts";

const text = z.string().nullish();
const Pod = z.looseObject({
  metadata: z.looseObject({ annotations: z.record(z.string(), z.string()).nullish() }).nullish(),
  spec: z.looseObject({ nodeName: text, hostNetwork: z.boolean().nullish() }).nullish(),
});

/** The node of a pod; undefined before it has one. */
export function nodeNameOf(pod: unknown): string | undefined {
  return Pod.parse(pod).spec?.nodeName || undefined;
}

export function isOnHostNetwork(pod: unknown): boolean {
  return Pod.parse(pod).spec?.hostNetwork === true;
}

/** The address by which the shim knows a pod; undefined when it does not. */
export function shimAddressOf(pod: unknown): string | undefined {
  return podKeeper({ nodeName: nodeNameOf(pod) ?? "", keys: [] })(pod)?.addresses[0];
}

/** Whether reads of a pod need a session token, and by whose word. */
export function httpTokensFor(
  { pod, namespaceObject }: Pick<Snapshot, "pod" | "namespaceObject">,
  settings: ShimSettings,
): { readonly value: HttpTokens; readonly by: string } {
  const own = httpTokensOf(Pod.parse(pod).metadata?.annotations?.[HTTP_TOKENS_KEY]);
  if (own !== undefined) return { value: own, by: "the pod's annotation" };
  const namespace = namespaceObject.status === "found" ? namespaceObject.value.metadata : undefined;
  const itsOwn = httpTokensOf(namespace?.annotations?.[HTTP_TOKENS_KEY]);
  if (itsOwn !== undefined) return { value: itsOwn, by: "the namespace's annotation" };
  return { value: settings.httpTokens, by: "the shim's settings" };
}

/** What the shim decides about the role of a pod; or what could not be read for it. */
export function shimRoleOf(
  { pod, namespace, name, namespaceObject, serviceAccount }: Snapshot,
  {
    settings,
    serviceAccountName,
  }: {
    readonly settings: ShimSettings;
    readonly serviceAccountName: string;
  },
): RoleDecision | Exclude<Found<unknown>, { readonly status: "found" }> {
  if (namespaceObject.status !== "found") return namespaceObject;
  if (serviceAccount.status === "forbidden" || serviceAccount.status === "failed") {
    return serviceAccount;
  }
  const { role } = settings;
  const annotations = Pod.parse(pod).metadata?.annotations ?? {};
  const keys = podKeysOf(role);
  const caller: Caller = {
    podUid: "",
    podName: name,
    namespace,
    serviceAccount: serviceAccountName,
    address: shimAddressOf(pod) ?? "",
    podAnnotations: Object.fromEntries(
      Object.entries(annotations).filter(([key]) => keys.includes(key)),
    ),
  };
  const keep = serviceAccountKeeper(role.annotationPrefix);
  return decideRole({
    caller,
    serviceAccount: serviceAccount.status === "found" ? keep(serviceAccount.value) : undefined,
    namespace: namespaceRulesOf(namespaceObject.value.metadata.annotations ?? {}, role),
    settings: role,
  });
}
