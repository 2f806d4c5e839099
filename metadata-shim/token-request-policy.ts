/** Who may ask for which tokens. */
export interface TokenRequestPolicyOptions {
  /** Name of both objects. */
  readonly name: string;
  /** Of the metadata shim. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
  /** Audiences of tokens for STS; never one of the API server. */
  readonly audiences: readonly string[];
  /** The longest life that may be asked for; 600, the least that Kubernetes makes, when absent. */
  readonly maxExpirationSeconds?: number | undefined;
}

/** As Kubernetes validates a TokenRequest, in seconds. */
const MIN_EXPIRATION_SECONDS = 600;

/**
 * The ValidatingAdmissionPolicy, with its binding, that fences the metadata shim where it asks for
 * tokens itself: RBAC cannot say for which audience or pod, and a token for the API server would make
 * its node the master of the cluster. It holds for the shim's ServiceAccount alone, and asks
 *
 * - for one audience that STS takes
 * - for a token that ends with a pod, which is named with its UID
 * - for a short life
 * - for a caller whose own token names its node, as one that kubelet mounts does (Kubernetes 1.32)
 *
 * Whether the pod is on that node no expression can say: the webhook does.
 *
 * @returns the policy and its binding.
 */
export function tokenRequestPolicy({
  name,
  serviceAccount,
  audiences,
  maxExpirationSeconds = MIN_EXPIRATION_SECONDS,
}: TokenRequestPolicyOptions): readonly [policy: object, binding: object] {
  const apiVersion = "admissionregistration.k8s.io/v1";
  const user = `system:serviceaccount:${serviceAccount.namespace}:${serviceAccount.name}`;
  const listed = JSON.stringify(audiences);
  return [
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              operations: ["CREATE"],
              resources: ["serviceaccounts/token"],
            },
          ],
        },
        matchConditions: [
          { name: "metadata-shim", expression: `request.userInfo.username == ${text(user)}` },
        ],
        validations: [
          {
            expression:
              "has(object.spec.audiences) && object.spec.audiences.size() == 1 && " +
              `object.spec.audiences[0] in ${listed}`,
            message: `audiences must be one of ${audiences.join(", ")}`,
          },
          {
            expression:
              "has(object.spec.boundObjectRef) && has(object.spec.boundObjectRef.kind) && " +
              "object.spec.boundObjectRef.kind == 'Pod' && has(object.spec.boundObjectRef.uid) && " +
              "object.spec.boundObjectRef.uid != ''",
            message: "boundObjectRef must be a Pod with its UID",
          },
          {
            expression:
              "has(object.spec.expirationSeconds) && " +
              `object.spec.expirationSeconds <= ${maxExpirationSeconds}`,
            message: `expirationSeconds must be at most ${maxExpirationSeconds}`,
          },
          {
            expression:
              "has(request.userInfo.extra) && " +
              "'authentication.kubernetes.io/node-name' in request.userInfo.extra",
            message: "the caller's own token must name its node",
          },
        ],
      },
    },
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name, validationActions: ["Deny"] },
    },
  ];
}

/** A string of CEL, which JSON's strings are too. */
function text(value: string): string {
  return JSON.stringify(value);
}
