import { Agent } from "node:https";
import {
  AssumeRoleWithWebIdentityCommand,
  STSClient,
  type AssumeRoleWithWebIdentityCommandOutput,
} from "@aws-sdk/client-sts";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { deadline } from "../../lib/kube/deadline.ts";
import { failed, type CredentialResult } from "./credentials.ts";
import { CONNECTION_CUT, stsFailure } from "./sts-failure.ts";
import { stsRegionOf } from "./sts-region.ts";

/** A token to be exchanged for credentials of a role. */
export interface Exchange {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly token: string;
  readonly durationSeconds: number;
}

/** One call of AssumeRoleWithWebIdentity. Never rejects, and never tells a secret in a message. */
export type ExchangeToken = (exchange: Exchange) => Promise<CredentialResult>;

export interface StsOptions {
  /** Of this node; empty when unknown. Roles of another partition are asked for in that one. */
  readonly region: string;
  /** URL that stands for STS everywhere; without it the SDK's own `AWS_ENDPOINT_URL_STS` counts. */
  readonly endpoint?: string | undefined;
  /** Authorities that are trusted instead of Node's, in PEM. */
  readonly caPem?: string | undefined;
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, "now">;
}

const SdkError = z.looseObject({
  /** The code on the wire, where the SDK has another name for it. */
  Code: z.string().optional(),
  /** Of the network. */
  code: z.string().optional(),
  name: z.string().default(""),
  message: z.string().default(""),
  $metadata: z.looseObject({ httpStatusCode: z.number().optional() }).optional(),
});

/** STS as the AWS SDK reaches it: by the endpoint of a region, unsigned, one try a call. */
export function createStsExchange(options: StsOptions): Disposable & { exchange: ExchangeToken } {
  const clients = new Map<string, STSClient>();
  const httpsAgent = new Agent({ keepAlive: true, maxSockets: 64, ca: options.caPem });

  function clientOf(region: string): STSClient {
    const client =
      clients.get(region) ??
      new STSClient({
        region,
        ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
        // Whoever asks knows when asking again makes sense; a hidden second call would be one too many.
        maxAttempts: 1,
        // "auto" would ask the metadata service where this node is.
        defaultsMode: "standard",
        requestHandler: { httpsAgent },
      });
    clients.set(region, client);
    return client;
  }

  return {
    async exchange({ roleArn, sessionName, token, durationSeconds }) {
      using limit = deadline(options.timeoutMs);
      try {
        const answer = await clientOf(stsRegionOf(roleArn, options.region)).send(
          new AssumeRoleWithWebIdentityCommand({
            RoleArn: roleArn,
            RoleSessionName: sessionName,
            WebIdentityToken: token,
            DurationSeconds: durationSeconds,
          }),
          { abortSignal: limit.signal },
        );
        return credentialsOf(answer, options.clock.now());
      } catch (err) {
        return failed(failureOf(err, limit.signal));
      }
    },
    [Symbol.dispose]() {
      for (const client of clients.values()) client.destroy();
      httpsAgent.destroy();
    },
  };
}

function credentialsOf(
  { Credentials: issued }: AssumeRoleWithWebIdentityCommandOutput,
  issuedAtMs: number,
): CredentialResult {
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = issued ?? {};
  if (!AccessKeyId || !SecretAccessKey || !SessionToken || Expiration === undefined) {
    const message = "STS answered without credentials";
    return failed({ kind: "unavailable", code: "NoCredentials", message });
  }
  return {
    status: "good",
    credentials: {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: SessionToken,
      expiresAtMs: Expiration.getTime(),
      issuedAtMs,
    },
  };
}

function failureOf(err: unknown, signal: AbortSignal): ReturnType<typeof stsFailure> {
  if (signal.aborted) {
    const message = `Cannot ask STS: ${reasonOf(signal.reason)}`;
    return stsFailure({ code: "Timeout", status: undefined, message });
  }
  const { Code, code, name, message, $metadata } = SdkError.parse(err);
  const status = $metadata?.httpStatusCode;
  if (status !== undefined) return stsFailure({ code: Code ?? name, status, message });
  const isCut = code === "ECONNRESET" || code === "EPIPE";
  return stsFailure({
    code: isCut ? CONNECTION_CUT : "Unreachable",
    status,
    message: `Cannot ask STS: ${message || code || name}`,
  });
}
