import {
  AdmissionregistrationV1Api,
  AuthenticationV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
  RbacAuthorizationV1Api,
} from "@kubernetes/client-node";
import type { KeyPair } from "../../lib/server-certificate.ts";

/** Typed clients of one user at one API server. */
export interface KubeClients {
  /** For other clients: `kubeConfig.makeApiClient(AppsV1Api)`. */
  readonly kubeConfig: KubeConfig;
  readonly admission: AdmissionregistrationV1Api;
  readonly authentication: AuthenticationV1Api;
  readonly core: CoreV1Api;
  readonly discovery: DiscoveryV1Api;
  readonly rbac: RbacAuthorizationV1Api;
}

/** How a user proves who they are: a client certificate, or a bearer token. */
export type Credentials = KeyPair | { readonly token: string };

/** An API server and what its certificate is verified with. */
export interface Endpoint {
  readonly url: string;
  readonly caPem: string;
}

/** Makes the clients of a user; nothing is sent yet. */
export function createKubeClients(
  { url, caPem }: Endpoint,
  userName: string,
  credentials: Credentials,
): KubeClients {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromClusterAndUser(
    { name: "test", server: url, caData: base64(caPem), skipTLSVerify: false },
    {
      name: userName,
      ...("token" in credentials
        ? { token: credentials.token }
        : { certData: base64(credentials.cert), keyData: base64(credentials.key) }),
    },
  );
  return {
    kubeConfig,
    admission: kubeConfig.makeApiClient(AdmissionregistrationV1Api),
    authentication: kubeConfig.makeApiClient(AuthenticationV1Api),
    core: kubeConfig.makeApiClient(CoreV1Api),
    discovery: kubeConfig.makeApiClient(DiscoveryV1Api),
    rbac: kubeConfig.makeApiClient(RbacAuthorizationV1Api),
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
