import type { Profile } from "./profile.ts";

/** What the operator says about roles. */
export interface RoleSettings {
  readonly profile: Profile;
  /** Domain of the annotations on ServiceAccounts: `eks.amazonaws.com`. */
  readonly annotationPrefix: string;
  /** Audience of tokens where no annotation names one. */
  readonly audience: string;
  /** Keys of the pod annotations of kube2iam and kiam. */
  readonly podKeys: {
    readonly role: string;
    readonly externalId: string;
    readonly sessionName: string;
  };
  /** What comes before the names of roles; empty when only ARNs are expected. */
  readonly baseRoleArn: string;
  /** Role of pods that no annotation gives one, by ARN or name; empty for none. */
  readonly defaultRole: string;
  /** kube2iam's rules for namespaces; undefined when they are not in force. */
  readonly allowedRoles:
    | { readonly key: string; readonly format: "glob" | "regexp"; readonly isUnanchored: boolean }
    | undefined;
  /** Whether kiam's expression may match anywhere in the ARN. */
  readonly isPermittedUnanchored: boolean;
  readonly sessionName: SessionNameSettings;
}

export interface SessionNameSettings {
  /** `pod`: namespace and name of the pod; else as these programs name sessions. */
  readonly format: "pod" | "kube2iam" | "kiam";
  /** kiam's `--session`, for pods that name none. */
  readonly kiamDefault: string;
}
