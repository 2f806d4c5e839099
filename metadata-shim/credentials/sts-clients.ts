import { Agent } from "node:https";
import { STSClient, type Credentials as StsCredentials } from "@aws-sdk/client-sts";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { deadline } from "../../lib/kube/deadline.ts";
import { failed, type CredentialResult } from "./credentials.ts";
import type { ReadNodeCredentials } from "./node-credentials.ts";
import { CONNECTION_CUT, stsFailure } from "./sts-failure.ts";
import { stsRegionOf } from "./sts-region.ts";

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

/** What STS answers to calls that give credentials. */
export interface StsAnswer {
  readonly Credentials?: StsCredentials | undefined;
}

/** STS as the AWS SDK reaches it: by the endpoint of a region, one try a call. */
export interface StsClients extends Disposable {
  /** One call, for the role's partition. Never rejects, and never tells a secret in a message. */
  ask(
    roleArn: string,
    call: (client: STSClient, abortSignal: AbortSignal) => Promise<StsAnswer>,
  ): Promise<CredentialResult>;
}

// The SDK takes the words of an error as they came, also from what is no STS: any may be anything.
const SdkError = z
  .looseObject({
    /** The code on the wire, where the SDK has another name for it. */
    Code: z.string().optional().catch(undefined),
    /** Of the network. */
    code: z.string().optional().catch(undefined),
    name: z.string().catch(""),
    message: z.string().catch(""),
    $metadata: z.looseObject({ httpStatusCode: z.number().optional() }).optional().catch(undefined),
  })
  .catch({ name: "", message: "" });

/** @param credentials For calls that are signed. */
export function createStsClients(
  options: StsOptions,
  credentials?: ReadNodeCredentials,
): StsClients {
  const clients = new Map<string, STSClient>();
  const httpsAgent = new Agent({ keepAlive: true, maxSockets: 64, ca: options.caPem });

  function clientOf(region: string): STSClient {
    const client =
      clients.get(region) ??
      new STSClient({
        region,
        ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
        ...(credentials === undefined ? {} : { credentials: withoutUndefined(credentials) }),
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
    async ask(roleArn, call) {
      using limit = deadline(options.timeoutMs);
      try {
        const client = clientOf(stsRegionOf(roleArn, options.region));
        return credentialsOf(await call(client, limit.signal), options.clock.now());
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

/** As the SDK's types want it: what is not there is absent. */
function withoutUndefined(read: ReadNodeCredentials) {
  return async () => {
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = await read();
    return {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      ...(expiration === undefined ? {} : { expiration }),
    };
  };
}

function credentialsOf({ Credentials: issued }: StsAnswer, issuedAtMs: number): CredentialResult {
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
