import { z } from "zod";
import { partitionOfRegion } from "../../lib/arn.ts";
import { toggle, value, type ConfigOf } from "../../lib/config.ts";
import { parseGoInteger } from "../../lib/go-values.ts";
import type { RoleAccount } from "../identity/compose-role-arn.ts";
import {
  MAX_TOKEN_EXPIRATION_SECONDS,
  MIN_TOKEN_EXPIRATION_SECONDS,
} from "../identity/identity.ts";
import type { MutationSettings } from "./mutation.ts";

const goInteger = z
  .string()
  .default("86400")
  .transform((text) => parseGoInteger(text) ?? Number.NaN)
  .refine((seconds) => seconds <= MAX_TOKEN_EXPIRATION_SECONDS, {
    error: `expected whole seconds, at most ${MAX_TOKEN_EXPIRATION_SECONDS}`,
  });

/** What decides the mutation: the same for the webhook and for `irsa inject`. */
export const MUTATION_SETTINGS = {
  annotationPrefix: value(
    "annotation-prefix",
    z
      .string()
      .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "expected a DNS name such as eks.amazonaws.com")
      .default("eks.amazonaws.com"),
    "Domain of the annotations on ServiceAccounts and Pods",
  ),
  tokenAudience: value(
    "token-audience",
    z.string().min(1, "expected an audience").default("sts.amazonaws.com"),
    "Audience of the tokens where no annotation names one",
  ),
  tokenMountPath: value(
    "token-mount-path",
    z
      .string()
      .regex(/^\/[^:]+$/, "expected an absolute path without a colon")
      .default("/var/run/secrets/eks.amazonaws.com/serviceaccount"),
    "Where the token volume is mounted",
  ),
  tokenExpiration: value(
    "token-expiration",
    goInteger,
    "Life of the tokens in seconds, at least 600, where no annotation gives one",
  ),
  containerCredentialsAudience: value(
    "container-credentials-audience",
    z.string().min(1, "expected an audience").default("pods.eks.amazonaws.com"),
    "Audience of the tokens for container credentials",
  ),
  containerCredentialsMountPath: value(
    "container-credentials-token-mount-path",
    z
      .string()
      .regex(/^\/[^:]+$/, "expected an absolute path without a colon")
      .default("/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"),
    "Where the token volume for container credentials is mounted",
  ),
  containerCredentialsVolumeName: value(
    "container-credentials-token-volume-name",
    z
      .string()
      .regex(/^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, "expected a DNS label")
      .default("eks-pod-identity-token"),
    "Name of the token volume for container credentials",
  ),
  containerCredentialsFileName: value(
    "container-credentials-token-path",
    z
      .string()
      .refine((path) => path !== "" && !path.startsWith("/") && !path.split("/").includes(".."), {
        error: "expected a file name, or a relative path without ..",
      })
      .default("eks-pod-identity-token"),
    "File name of the token in the volume for container credentials",
  ),
  containerCredentialsFullUri: value(
    "container-credentials-full-uri",
    z.string().min(1, "expected a URL").default("http://169.254.170.23/v1/credentials"),
    "Where the agent on the node gives container credentials",
  ),
  region: value(
    "aws-default-region",
    z.string().default(""),
    "Sets AWS_DEFAULT_REGION and AWS_REGION in the containers",
  ),
  regionalSts: toggle(
    "sts-regional-endpoint",
    false,
    "Whether SDKs call the STS of their region where no annotation says so",
  ),
  roleSessionName: toggle(
    "role-session-name",
    false,
    "Sets AWS_ROLE_SESSION_NAME to the name of the pod",
  ),
  disableEc2Metadata: toggle(
    "disable-ec2-metadata",
    false,
    "Sets AWS_EC2_METADATA_DISABLED, so that no SDK falls back to the node's role; always on in required namespaces",
  ),
  fipsEndpoints: toggle("use-fips-endpoint", false, "Sets AWS_USE_FIPS_ENDPOINT"),
  dualStackEndpoints: toggle("use-dualstack-endpoint", false, "Sets AWS_USE_DUALSTACK_ENDPOINT"),
  shimAnnotation: value(
    "metadata-shim-annotation",
    z
      .string()
      .regex(/^([\w.-]+\/)?[\w.-]*$/, "expected the key of an annotation")
      .default(""),
    "Annotation, such as iam.amazonaws.com/role, of pods that get a token for the metadata shim",
  ),
  composeRoleArn: toggle(
    "compose-role-arn",
    false,
    "Makes ARNs of role names in the account of this machine or of --account-id",
  ),
  accountId: value(
    "account-id",
    z
      .string()
      .regex(/^(\d{12})?$/, "expected 12 digits")
      .default(""),
    "Account for --compose-role-arn; without it the instance identity document names it",
  ),
  partition: value(
    "partition",
    z
      .string()
      .regex(/^(aws[a-z0-9-]*)?$/, "expected a partition such as aws-cn")
      .default(""),
    "Partition for --compose-role-arn; without it the region's",
  ),
} as const;

type MutationConfig = ConfigOf<typeof MUTATION_SETTINGS>;

/** Rules between the mutation settings, as sentences about those that are broken. */
export function checkMutationConfig(config: MutationConfig): readonly string[] {
  const { composeRoleArn, accountId, partition } = config;
  return [
    ...(accountId !== "" && !composeRoleArn ? ["--account-id needs --compose-role-arn"] : []),
    ...(partition !== "" && !composeRoleArn ? ["--partition needs --compose-role-arn"] : []),
  ];
}

/**
 * The account that `--account-id` names for bare role names; undefined when role names are not
 * composed, or when the account is to be asked for.
 */
export function givenRoleAccount(config: MutationConfig): RoleAccount | undefined {
  const { composeRoleArn, accountId, partition, region } = config;
  if (!composeRoleArn || accountId === "") return undefined;
  return { accountId, partition: partition === "" ? partitionOfRegion(region) : partition };
}

/** The settings of the pure core, from the config and the account of bare role names. */
export function mutationSettingsOf(
  config: MutationConfig,
  roleAccount: RoleAccount | undefined,
): MutationSettings {
  return {
    annotationPrefix: config.annotationPrefix,
    audience: config.tokenAudience,
    containerCredentialsAudience: config.containerCredentialsAudience,
    containerCredentials: {
      mountPath: config.containerCredentialsMountPath,
      volumeName: config.containerCredentialsVolumeName,
      fileName: config.containerCredentialsFileName,
      fullUri: config.containerCredentialsFullUri,
    },
    expirationSeconds: Math.max(config.tokenExpiration, MIN_TOKEN_EXPIRATION_SECONDS),
    regionalSts: config.regionalSts,
    region: config.region,
    roleAccount,
    tokenMountPath: config.tokenMountPath,
    roleSessionName: config.roleSessionName,
    disableEc2Metadata: config.disableEc2Metadata,
    fipsEndpoints: config.fipsEndpoints,
    dualStackEndpoints: config.dualStackEndpoints,
    shimAnnotation: config.shimAnnotation,
  };
}

/** A sentence for each mutation setting that is accepted but not followed to the letter. */
export function mutationConfigWarnings({
  tokenExpiration,
}: Pick<MutationConfig, "tokenExpiration">): readonly string[] {
  if (tokenExpiration >= MIN_TOKEN_EXPIRATION_SECONDS) return [];
  return [`--token-expiration ${tokenExpiration} raised to ${MIN_TOKEN_EXPIRATION_SECONDS}`];
}
