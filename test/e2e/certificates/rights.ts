/** The webhook's Secret and its Lease have this name. */
export const WEBHOOK_NAME = "pod-identity-webhook";

const READ = ["get", "list", "watch"];
const CLUSTER_RULES = [
  { apiGroups: [""], resources: ["serviceaccounts", "namespaces"], verbs: READ },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    resourceNames: ["irsa-anywhere"],
    verbs: ["list", "watch", "patch"],
  },
];
const LEASES = { apiGroups: ["coordination.k8s.io"], resources: ["leases"] };
const SECRETS = { apiGroups: [""], resources: ["secrets"] };
const NAMESPACE_RULES = [
  { ...SECRETS, verbs: ["create"] },
  { ...SECRETS, resourceNames: [WEBHOOK_NAME], verbs: ["list", "watch", "update"] },
  { ...LEASES, verbs: ["create"] },
  { ...LEASES, resourceNames: [WEBHOOK_NAME], verbs: ["get", "update"] },
];

/** Gives the webhook's ServiceAccount the rights of its documentation, and no more. */
export async function grantRights(
  create: (path: string, object: object) => Promise<void>,
): Promise<void> {
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const apiGroup = "rbac.authorization.k8s.io";
  const subjects = [{ kind: "ServiceAccount", namespace: "eks", name: "webhook" }];
  const metadata = { name: "webhook" };
  await create(`${rbac}/clusterroles`, { metadata, rules: CLUSTER_RULES });
  await create(`${rbac}/clusterrolebindings`, {
    metadata,
    subjects,
    roleRef: { apiGroup, kind: "ClusterRole", name: "webhook" },
  });
  await create(`${rbac}/namespaces/eks/roles`, { metadata, rules: NAMESPACE_RULES });
  await create(`${rbac}/namespaces/eks/rolebindings`, {
    metadata,
    subjects,
    roleRef: { apiGroup, kind: "Role", name: "webhook" },
  });
}
