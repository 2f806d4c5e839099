import { ApiException, type CoreV1Api } from "@kubernetes/client-node";

/** A TokenRequest (kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1). */
export interface TokenSpec {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The API server's own audiences when absent. */
  readonly audiences?: readonly string[] | undefined;
  /** At least 600; an hour when absent. The API server may grant another. */
  readonly expirationSeconds?: number | undefined;
  /** The token dies with this pod, and names it in its claims. */
  readonly boundPod?: { readonly name: string; readonly uid: string } | undefined;
}

/** A service-account token as the API server issued it. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** Has the API server behind `core` sign a token. */
export async function requestToken(
  core: CoreV1Api,
  { namespace, serviceAccount, audiences = [], expirationSeconds, boundPod }: TokenSpec,
): Promise<IssuedToken> {
  const { status } = await core.createNamespacedServiceAccountToken({
    namespace,
    name: serviceAccount,
    body: {
      spec: {
        audiences: [...audiences],
        ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
        ...(boundPod === undefined
          ? {}
          : { boundObjectRef: { apiVersion: "v1", kind: "Pod", ...boundPod } }),
      },
    },
  });
  const { token, expirationTimestamp } = status ?? {};
  if (token === undefined || expirationTimestamp === undefined) {
    throw new Error(`Expected a token for ${namespace}/${serviceAccount} in the answer`);
  }
  return { token, expiresAtMs: expirationTimestamp.getTime() };
}

/** Creates a ServiceAccount, and its namespace when that is missing. */
export async function createServiceAccount(
  core: CoreV1Api,
  namespace: string,
  name: string,
  annotations: Readonly<Record<string, string>> = {},
): Promise<void> {
  try {
    await core.createNamespace({ body: { metadata: { name: namespace } } });
  } catch (err) {
    if (!(err instanceof ApiException && err.code === 409)) throw err;
  }
  await core.createNamespacedServiceAccount({
    namespace,
    body: { metadata: { name, annotations } },
  });
}
