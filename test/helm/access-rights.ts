import { readFile } from "node:fs/promises";
import type { V1PolicyRule, V1RoleRef } from "@kubernetes/client-node";
import { z } from "zod";
import type { KubeClients } from "../kubernetes/kube-clients.ts";

/** One verb on one kind of object. */
export interface Right {
  readonly verb: string;
  /** `apps/replicasets`, `/pods/eviction`. */
  readonly resource: string;
  /** `*` for all of them, and for objects of the whole cluster. */
  readonly namespace: string;
  /** `*` for all of them. */
  readonly name: string;
}

/** `get /configmaps NAMESPACE/NAME`. */
export function rightText({ verb, resource, namespace, name }: Right): string {
  return `${verb} ${resource} ${namespace}/${name}`;
}

/** The rights that RBAC grants to a ServiceAccount by its own bindings, one by one. */
export async function rightsGranted(
  { rbac }: KubeClients,
  account: { readonly namespace: string; readonly name: string },
): Promise<readonly Right[]> {
  const isSubject = ({
    kind,
    namespace,
    name,
  }: {
    kind: string;
    namespace?: string;
    name: string;
  }) => kind === "ServiceAccount" && namespace === account.namespace && name === account.name;
  const rulesOf = async ({ kind, name }: V1RoleRef, namespace: string): Promise<V1PolicyRule[]> => {
    const role =
      kind === "ClusterRole"
        ? await rbac.readClusterRole({ name })
        : await rbac.readNamespacedRole({ name, namespace });
    return role.rules ?? [];
  };
  const [clusterBindings, bindings] = await Promise.all([
    rbac.listClusterRoleBinding(),
    rbac.listRoleBindingForAllNamespaces(),
  ]);
  const granted: Right[] = [];
  for (const { metadata, roleRef, subjects } of [...clusterBindings.items, ...bindings.items]) {
    if (!(subjects ?? []).some(isSubject)) continue;
    const namespace = metadata?.namespace ?? "*";
    for (const rule of await rulesOf(roleRef, namespace)) granted.push(...each(rule, namespace));
  }
  return granted;
}

function each(rule: V1PolicyRule, namespace: string): readonly Right[] {
  const { apiGroups = [], resources = [], resourceNames = ["*"], verbs } = rule;
  return apiGroups.flatMap((group) =>
    resources.flatMap((resource) =>
      resourceNames.flatMap((name) =>
        verbs.map((verb) => ({ verb, resource: `${group}/${resource}`, namespace, name })),
      ),
    ),
  );
}

/** audit.k8s.io/v1, Event, as far as it goes. */
const AuditEvent = z.looseObject({
  verb: z.string(),
  user: z.looseObject({ username: z.string() }),
  objectRef: z
    .looseObject({
      apiGroup: z.string().default(""),
      resource: z.string(),
      subresource: z.string().optional(),
      namespace: z.string().default("*"),
      name: z.string().default("*"),
    })
    .optional(),
  requestURI: z.string(),
  annotations: z.record(z.string(), z.string()).default({}),
});

/** What a user asked of objects, by an API server's audit log. */
export interface Used extends Right {
  readonly isAllowed: boolean;
  readonly uri: string;
}

/** @param auditFile One event a line, at least of level Metadata. */
export async function rightsUsed(auditFile: string, username: string): Promise<readonly Used[]> {
  const lines = (await readFile(auditFile, "utf8")).split("\n");
  // The last one may just be written.
  return lines.slice(0, -1).flatMap((line) => {
    const { verb, user, objectRef, requestURI, annotations } = AuditEvent.parse(JSON.parse(line));
    if (user.username !== username || objectRef === undefined) return [];
    const { apiGroup, resource, subresource, namespace, name } = objectRef;
    return [
      {
        verb,
        resource: `${apiGroup}/${resource}${subresource === undefined ? "" : `/${subresource}`}`,
        namespace,
        name,
        isAllowed: annotations["authorization.k8s.io/decision"] === "allow",
        uri: requestURI,
      },
    ];
  });
}

/** Whether a right is what allows a use. */
export function allows(right: Right, used: Right): boolean {
  return (
    right.verb === used.verb &&
    right.resource === used.resource &&
    covers(right.namespace, used.namespace) &&
    covers(right.name, used.name)
  );
}

function covers(granted: string, asked: string): boolean {
  return granted === "*" || granted === asked;
}
