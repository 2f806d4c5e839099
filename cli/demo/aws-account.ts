import { Agent } from "node:https";
import {
  CreateOpenIDConnectProviderCommand,
  CreateRoleCommand,
  IAMClient,
} from "@aws-sdk/client-iam";
import {
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  STSClient,
} from "@aws-sdk/client-sts";
import { z } from "zod";
import { AppError } from "../../lib/errors.ts";

/** Where AWS is, and with whose keys it is set up. */
export interface AwsAccess {
  readonly sts: string;
  readonly iam: string;
  readonly caPem: string;
  readonly administrator: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface TrustedIdentity {
  readonly issuer: string;
  readonly audience: string;
  /** `system:serviceaccount:NAMESPACE:NAME`, or several of them. */
  readonly subject: string | readonly string[];
}

/** Credentials of a role and when they end. */
export interface RoleCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
}

const REGION = "us-east-1";

/** Registers the cluster's issuer and makes a role that one ServiceAccount may take. */
export async function createTrust(
  access: AwsAccess,
  { issuer, audience, subject }: TrustedIdentity,
  roleName: string,
): Promise<{ providerArn: string; roleArn: string }> {
  const iam = new IAMClient({
    ...connectionTo(access.iam, access.caPem),
    credentials: access.administrator,
  });
  try {
    const { OpenIDConnectProviderArn: providerArn } = await iam.send(
      new CreateOpenIDConnectProviderCommand({ Url: issuer, ClientIDList: [audience] }),
    );
    const host = issuer.replace("https://", "");
    const trust = {
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Principal: { Federated: providerArn },
          Action: "sts:AssumeRoleWithWebIdentity",
          Condition: { StringEquals: { [`${host}:aud`]: audience, [`${host}:sub`]: subject } },
        },
      ],
    };
    const { Role: role } = await iam.send(
      new CreateRoleCommand({
        RoleName: roleName,
        AssumeRolePolicyDocument: JSON.stringify(trust),
      }),
    );
    if (providerArn === undefined || role?.Arn === undefined) {
      throw new AppError("DEMO_FAILED", 500, "IAM created the provider or the role without an ARN");
    }
    return { providerArn, roleArn: role.Arn };
  } finally {
    iam.destroy();
  }
}

/** Exchanges a ServiceAccount token for credentials of a role, as the pod's SDK does. */
export async function assumeRole(
  access: AwsAccess,
  request: { readonly roleArn: string; readonly token: string; readonly sessionName: string },
): Promise<RoleCredentials> {
  const sts = new STSClient(connectionTo(access.sts, access.caPem));
  try {
    const { Credentials: made } = await sts.send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: request.roleArn,
        RoleSessionName: request.sessionName,
        WebIdentityToken: request.token,
      }),
    );
    if (!made?.AccessKeyId || !made.SecretAccessKey || !made.SessionToken || !made.Expiration) {
      throw new AppError("DEMO_FAILED", 500, "STS answered without complete credentials");
    }
    return {
      accessKeyId: made.AccessKeyId,
      secretAccessKey: made.SecretAccessKey,
      sessionToken: made.SessionToken,
      expiration: made.Expiration,
    };
  } finally {
    sts.destroy();
  }
}

/** The ARN that a signed call with these credentials is made as. */
export async function callerArn(access: AwsAccess, credentials: RoleCredentials): Promise<string> {
  const sts = new STSClient({ ...connectionTo(access.sts, access.caPem), credentials });
  try {
    const { Arn: arn } = await sts.send(new GetCallerIdentityCommand({}));
    if (arn === undefined) throw new AppError("DEMO_FAILED", 500, "STS named no caller");
    return arn;
  } finally {
    sts.destroy();
  }
}

/**
 * The error code, as it is on the wire, with which STS refuses a token.
 *
 * @throws AppError DEMO_FAILED when the token is accepted.
 */
export async function refusalCode(
  access: AwsAccess,
  request: Parameters<typeof assumeRole>[1],
): Promise<string> {
  try {
    await assumeRole(access, request);
  } catch (err) {
    const refusal = Refusal.safeParse(err).data;
    if (refusal === undefined) throw err;
    return refusal.Error.Code;
  }
  throw new AppError("DEMO_FAILED", 500, "STS accepted a token that it had to refuse");
}

/** The SDK's errors are named after its model; what came over the wire is in their `Error`. */
const Refusal = z.looseObject({ Error: z.looseObject({ Code: z.string() }) });

function connectionTo(endpoint: string, caPem: string): object {
  return {
    endpoint,
    region: REGION,
    // Whatever the reader's environment and profile say: neither goes with an endpoint of one's own.
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    maxAttempts: 1,
    requestHandler: { httpsAgent: new Agent({ ca: caPem }) },
  };
}
