import { SERVICE_CIDR } from "./service-network.ts";

/** What may differ between API servers, and between two starts of one. */
export interface ApiServerSettings {
  /** `--service-account-issuer`: the first signs, all are accepted. That of kubeadm when absent. */
  readonly issuers?: readonly string[] | undefined;
  /** `--api-audiences`; the issuers when absent. */
  readonly apiAudiences?: readonly string[] | undefined;
  /** PEM of the private key that signs tokens (RSA or EC); one made for this control plane when absent. */
  readonly signingKeyPem?: string | undefined;
  /**
   * PEM, public or private, one key file each: whose tokens are accepted, and what the JWKS publishes.
   * The signing key when absent.
   */
  readonly verificationKeysPem?: readonly string[] | undefined;
  /** Further flags of kube-apiserver, after all others. */
  readonly flags?: readonly string[] | undefined;
}

/** Where an API server listens, and the files it reads and writes. */
export interface ApiServerPlace {
  readonly host: string;
  readonly port: number;
  readonly etcdUrl: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** How it proves to a kubelet who it is, for logs and exec. */
  readonly kubeletClient: { readonly certFile: string; readonly keyFile: string };
  readonly signingKeyFile: string;
  readonly verificationKeyFiles: readonly string[];
  /** Absent: no audit log. */
  readonly audit?: { readonly policyFile: string; readonly logFile: string } | undefined;
}

/** What kubeadm sets. */
const DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local";

/**
 * The command line of kube-apiserver
 * (kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver).
 */
export function apiServerFlags(
  place: ApiServerPlace,
  { issuers = [DEFAULT_ISSUER], apiAudiences, flags = [] }: ApiServerSettings,
): readonly string[] {
  const { host, port, audit } = place;
  return [
    `--etcd-servers=${place.etcdUrl}`,
    `--bind-address=${host}`,
    `--secure-port=${port}`,
    // Otherwise the address of the default route is looked for, which a machine may lack.
    `--advertise-address=${host}`,
    // The API server's own reconciler cannot write a loopback address: see kubernetes-endpoints.ts.
    "--endpoint-reconciler-type=none",
    `--tls-cert-file=${place.certFile}`,
    `--tls-private-key-file=${place.keyFile}`,
    `--client-ca-file=${place.caFile}`,
    `--service-cluster-ip-range=${SERVICE_CIDR}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--allow-privileged=true",
    "--kubelet-preferred-address-types=InternalIP",
    `--kubelet-client-certificate=${place.kubeletClient.certFile}`,
    `--kubelet-client-key=${place.kubeletClient.keyFile}`,
    ...issuers.map((issuer) => `--service-account-issuer=${issuer}`),
    ...(apiAudiences === undefined ? [] : [`--api-audiences=${apiAudiences.join(",")}`]),
    `--service-account-signing-key-file=${place.signingKeyFile}`,
    ...place.verificationKeyFiles.map((file) => `--service-account-key-file=${file}`),
    ...(audit === undefined
      ? []
      : [`--audit-policy-file=${audit.policyFile}`, `--audit-log-path=${audit.logFile}`]),
    ...flags,
  ];
}
