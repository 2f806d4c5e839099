import type { Annotations } from "../pod/pod.ts";

/** Where the identity of a pod was found, in the order of precedence. */
export type IdentitySource =
  | "container-credentials"
  | "service-account"
  | "config-map"
  | "namespace";

/** What one entry of the ConfigMap gives a ServiceAccount. */
export interface ConfigMapEntry {
  /** Its key, `namespace/name`, each of which may be a glob. */
  readonly key: string;
  /** Undefined when the entry has no role; what else it says may still be used. */
  readonly roleArn: string | undefined;
  readonly audience: string | undefined;
  /** At least 600. */
  readonly expirationSeconds: number | undefined;
  readonly regionalSts: boolean | undefined;
}

/** In place of an entry while nobody knows whether there is one: it gives nothing. */
export const UNREAD_ENTRY: ConfigMapEntry = Object.freeze({
  key: "",
  roleArn: undefined,
  audience: undefined,
  expirationSeconds: undefined,
  regionalSts: undefined,
});

/** What the configuration beside a ServiceAccount's own annotations says of it. */
export interface Association {
  /** Whether the container-credentials file names it (EKS Pod Identity). */
  readonly containerCredentials: boolean;
  /**
   * Its best entry of the ConfigMap: the exact one, else the most specific glob. {@link UNREAD_ENTRY}
   * when the ConfigMap, or the container-credentials file, could not be read or used so far.
   */
  readonly configMap: ConfigMapEntry | undefined;
}

/** Of a ServiceAccount that is in neither. */
export const NO_ASSOCIATION: Association = Object.freeze({
  containerCredentials: false,
  configMap: undefined,
});

/**
 * Decides which source a pod's identity comes from, as AWS's webhook does: container credentials
 * over the ServiceAccount's annotation over the ConfigMap's exact entry over its globs; and last,
 * what AWS's does not have, the namespace's default. An empty annotation is as good as none.
 */
export function identitySourceOf(
  {
    serviceAccount,
    association,
    defaultRole,
  }: {
    readonly serviceAccount: Annotations;
    readonly association: Association;
    /** The namespace's. */
    readonly defaultRole?: string | undefined;
  },
  annotationPrefix: string,
): IdentitySource | undefined {
  if (association.containerCredentials) return "container-credentials";
  if (serviceAccount[`${annotationPrefix}/role-arn`]) return "service-account";
  if (association.configMap?.roleArn) return "config-map";
  return defaultRole ? "namespace" : undefined;
}
