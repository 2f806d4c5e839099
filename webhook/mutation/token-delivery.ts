import type { Identity } from "../identity/identity.ts";

/** A variable as a container has it. */
export interface EnvVariable {
  readonly name: string;
  readonly value: string;
}

/** The volume of a token, and where containers have it. */
export interface TokenVolume {
  readonly volumeName: string;
  /** Name of the token's file in the volume. */
  readonly fileName: string;
  readonly mountPath: string;
  readonly audience: string;
  readonly expirationSeconds: number;
}

/** How a token reaches the SDK in a container. */
export interface TokenDelivery extends TokenVolume {
  /** The pair of variables, in their order; a container that has either keeps its own. */
  readonly variable: EnvVariable;
  readonly fileVariableName: string;
  /** Label that the pod gets with the value `enabled`; undefined for none. */
  readonly labelKey: string | undefined;
}

export interface DeliverySettings {
  /** Where the web identity token is mounted. */
  readonly tokenMountPath: string;
  readonly containerCredentials: {
    readonly mountPath: string;
    readonly volumeName: string;
    readonly fileName: string;
    /** Where the agent on the node answers. */
    readonly fullUri: string;
  };
}

/** Names that AWS's webhook uses too, so that both recognise a pod that is already done. */
export const TOKEN_VOLUME_NAME = "aws-iam-token";
export const TOKEN_FILE_NAME = "token";
const POD_IDENTITY_LABEL = "eks.amazonaws.com/pod-identity";

/** The way of an identity: by web identity, or by container credentials. */
export function deliveryOf(identity: Identity, settings: DeliverySettings): TokenDelivery {
  const { audience, expirationSeconds } = identity;
  if (identity.method === "web-identity") {
    return {
      volumeName: TOKEN_VOLUME_NAME,
      fileName: TOKEN_FILE_NAME,
      mountPath: settings.tokenMountPath,
      variable: { name: "AWS_ROLE_ARN", value: identity.roleArn },
      fileVariableName: "AWS_WEB_IDENTITY_TOKEN_FILE",
      audience,
      expirationSeconds,
      labelKey: undefined,
    };
  }
  const { volumeName, fileName, mountPath, fullUri } = settings.containerCredentials;
  return {
    volumeName,
    fileName,
    mountPath,
    variable: { name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", value: fullUri },
    fileVariableName: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    audience,
    expirationSeconds,
    labelKey: POD_IDENTITY_LABEL,
  };
}
