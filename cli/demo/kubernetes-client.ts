import { z } from "zod";
import { systemClock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";

/** What the webhook put into a pod, read back from the pod that the API server stored. */
export interface InjectedIdentity {
  readonly podUid: string;
  readonly roleArn: string;
  readonly tokenFile: string;
  readonly audience: string;
  readonly expirationSeconds: number;
}

const StoredPod = z.looseObject({
  metadata: z.looseObject({ uid: z.string() }),
  spec: z.looseObject({
    volumes: z.array(
      z.looseObject({
        name: z.string(),
        projected: z
          .looseObject({
            sources: z.array(
              z.looseObject({
                serviceAccountToken: z
                  .looseObject({ audience: z.string().default(""), expirationSeconds: z.number() })
                  .optional(),
              }),
            ),
          })
          .optional(),
      }),
    ),
    containers: z.array(
      z.looseObject({
        env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })),
      }),
    ),
  }),
});

const TOKEN_VOLUME = "aws-iam-token";

/**
 * Creates an object through the Kubernetes API.
 *
 * @throws AppError DEMO_FAILED with the API server's message when it is refused.
 */
export async function create(
  connection: Pick<KubeConnection, "request">,
  path: string,
  object: object,
): Promise<unknown> {
  const { status, body } = await connection.request({
    method: "POST",
    path,
    contentType: "application/json",
    body: object,
    timeoutMs: 10_000,
  });
  if (status === 201) return body;
  const { data } = z.looseObject({ message: z.string() }).safeParse(body);
  const reason = data?.message ?? `status ${status}`;
  throw new AppError("DEMO_FAILED", 500, `The API server refused to create ${path}: ${reason}`);
}

/** Longest wait until a new webhook configuration is in force, and how often to look. */
const IN_FORCE_MS = 10_000;
const LOOK_AGAIN_MS = 100;

/**
 * Creates a pod that must come back with an identity. A real API server needs a moment until a new
 * webhook configuration is in force, so the pod is sent as a dry run until it is.
 *
 * @returns the pod as the API server stored it, injected or not.
 */
export async function createInjected(
  connection: Pick<KubeConnection, "request">,
  pod: { readonly metadata: { readonly namespace: string } },
): Promise<unknown> {
  const path = `/api/v1/namespaces/${pod.metadata.namespace}/pods`;
  const deadlineMs = performance.now() + IN_FORCE_MS;
  while (performance.now() < deadlineMs) {
    if (readIdentity(await create(connection, `${path}?dryRun=All`, pod)) !== undefined) break;
    await systemClock.sleep(LOOK_AGAIN_MS);
  }
  return create(connection, path, pod);
}

/**
 * Reads the injected identity back.
 *
 * @throws AppError DEMO_FAILED when the stored pod carries none.
 */
export function injectedIdentity(stored: unknown): InjectedIdentity {
  const identity = readIdentity(stored);
  if (identity !== undefined) return identity;
  throw new AppError("DEMO_FAILED", 500, "The API server stored the pod without an identity");
}

function readIdentity(stored: unknown): InjectedIdentity | undefined {
  const pod = StoredPod.safeParse(stored).data;
  const env = new Map(pod?.spec.containers[0]?.env.map(({ name, value }) => [name, value]));
  const volume = pod?.spec.volumes.find(({ name }) => name === TOKEN_VOLUME);
  const token = volume?.projected?.sources[0]?.serviceAccountToken;
  const [roleArn, tokenFile] = [env.get("AWS_ROLE_ARN"), env.get("AWS_WEB_IDENTITY_TOKEN_FILE")];
  if (pod === undefined || token === undefined) return undefined;
  if (roleArn === undefined || tokenFile === undefined) return undefined;
  const { audience, expirationSeconds } = token;
  return { podUid: pod.metadata.uid, roleArn, tokenFile, audience, expirationSeconds };
}

/** Asks for a ServiceAccount token, as kubelet does for a projected volume. */
export async function requestToken(
  connection: Pick<KubeConnection, "request">,
  request: {
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly audience: string;
    readonly expirationSeconds: number;
    readonly pod?: { readonly name: string; readonly uid: string };
  },
): Promise<string> {
  const { namespace, serviceAccount, audience, expirationSeconds, pod } = request;
  const answer = await create(
    connection,
    `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
    {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {
        audiences: [audience],
        expirationSeconds,
        ...(pod && { boundObjectRef: { apiVersion: "v1", kind: "Pod", ...pod } }),
      },
    },
  );
  const Answer = z.looseObject({ status: z.looseObject({ token: z.string().min(1) }) });
  return Answer.parse(answer).status.token;
}
