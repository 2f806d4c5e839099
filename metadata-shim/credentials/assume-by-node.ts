import { AssumeRoleCommand } from "@aws-sdk/client-sts";
import type { CredentialResult } from "./credentials.ts";
import type { ReadNodeCredentials } from "./node-credentials.ts";
import { createStsClients, type StsOptions } from "./sts-clients.ts";

/** A role to be assumed with the node's credentials, as kube2iam and kiam did. */
export interface NodeAssumption {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly externalId: string | undefined;
  readonly durationSeconds: number;
}

/** One call of AssumeRole. Never rejects, and never tells a secret in a message. */
export type AssumeByNode = (assumption: NodeAssumption) => Promise<CredentialResult>;

/** A role that assumes a role gets no more (IAM User Guide, "Role chaining"). */
const MAX_SECONDS = 3600;

/** Assumes roles with credentials of this node; what it gives is marked. */
export function createAssumeByNode(
  options: StsOptions,
  credentials: ReadNodeCredentials,
): Disposable & { assume: AssumeByNode } {
  const sts = createStsClients(options, credentials);
  return {
    async assume({ roleArn, sessionName, externalId, durationSeconds }) {
      const result = await sts.ask(roleArn, (client, abortSignal) =>
        client.send(
          new AssumeRoleCommand({
            RoleArn: roleArn,
            RoleSessionName: sessionName,
            DurationSeconds: Math.min(durationSeconds, MAX_SECONDS),
            ...(externalId === undefined ? {} : { ExternalId: externalId }),
          }),
          { abortSignal },
        ),
      );
      if (result.status === "failed") return result;
      return { status: "good", credentials: { ...result.credentials, isByNode: true } };
    },
    [Symbol.dispose]: () => sts[Symbol.dispose](),
  };
}
