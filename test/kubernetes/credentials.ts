import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import {
  createAuthority,
  issueClientCertificate,
  issueServingCertificate,
} from "../../lib/certificates.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";
import { KUBERNETES_SERVICE_IP } from "./service-network.ts";

/** The certificates of one control plane, and its default key for service-account tokens. */
export interface ClusterCredentials {
  readonly caPem: string;
  /** For every server of the control plane. */
  readonly serving: KeyPair;
  /** Member of `system:masters`, which RBAC never refuses. */
  readonly admin: KeyPair;
  readonly controllerManager: KeyPair;
  readonly scheduler: KeyPair;
  /** PEM, RSA. */
  readonly serviceAccountKeyPem: string;
  /** Issues a certificate of another user, who is a member of these groups. */
  issueClient(userName: string, ...groups: string[]): Promise<KeyPair>;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const SERVER_NAMES = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
  "localhost",
  "127.0.0.1",
  KUBERNETES_SERVICE_IP,
];

/**
 * Makes the credentials of a control plane that serves at these addresses.
 *
 * Users and groups: kubernetes.io/docs/reference/access-authn-authz/rbac, "Core component roles".
 */
export async function createCredentials(
  addresses: readonly string[],
  nowMs: number,
): Promise<ClusterCredentials> {
  const validity = { notBeforeMs: nowMs - DAY_MS, notAfterMs: nowMs + 30 * DAY_MS };
  const authority = await createAuthority("kubernetes", validity);
  const issueClient = (commonName: string, ...organizations: string[]): Promise<KeyPair> =>
    issueClientCertificate(authority, { commonName, organizations }, validity);
  const [serving, admin, controllerManager, scheduler, serviceAccountKeyPem] = await Promise.all([
    issueServingCertificate(authority, ["kube", ...SERVER_NAMES, ...addresses], validity),
    issueClient("kubernetes-admin", "system:masters"),
    issueClient("system:kube-controller-manager"),
    issueClient("system:kube-scheduler"),
    createServiceAccountKey(),
  ]);
  return {
    caPem: authority.cert,
    serving,
    admin,
    controllerManager,
    scheduler,
    serviceAccountKeyPem,
    issueClient,
  };
}

/** A new private key for signing service-account tokens, PEM, RSA with 2048 bits. */
export async function createServiceAccountKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return privateKey;
}
