import { AssumeRoleWithWebIdentityCommand } from "@aws-sdk/client-sts";
import type { CredentialResult } from "./credentials.ts";
import { createStsClients, type StsOptions } from "./sts-clients.ts";

/** A token to be exchanged for credentials of a role. */
export interface Exchange {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly token: string;
  readonly durationSeconds: number;
}

/** One call of AssumeRoleWithWebIdentity. Never rejects, and never tells a secret in a message. */
export type ExchangeToken = (exchange: Exchange) => Promise<CredentialResult>;

/** Exchanges tokens at STS, unsigned: it needs no credentials of its own. */
export function createStsExchange(options: StsOptions): Disposable & { exchange: ExchangeToken } {
  const sts = createStsClients(options);
  return {
    exchange: ({ roleArn, sessionName, token, durationSeconds }) =>
      sts.ask(roleArn, (client, abortSignal) =>
        client.send(
          new AssumeRoleWithWebIdentityCommand({
            RoleArn: roleArn,
            RoleSessionName: sessionName,
            WebIdentityToken: token,
            DurationSeconds: durationSeconds,
          }),
          { abortSignal },
        ),
      ),
    [Symbol.dispose]: () => sts[Symbol.dispose](),
  };
}
