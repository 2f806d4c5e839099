import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import jsonPatch from "fast-json-patch";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { AppError } from "../../lib/errors.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { askWebhook, type AddOperation } from "./ask-webhook.ts";
import { assumeRole, callerArn, createTrust, refusalCode, type AwsAccess } from "./aws-account.ts";
import { forgeToken } from "./forge-token.ts";
import { create, createInjected, injectedIdentity, requestToken } from "./kubernetes-client.ts";
import * as objects from "./kubernetes-objects.ts";
import type { Narrator } from "./narrator.ts";
import { podDiff } from "./pod-diff.ts";

/** The running parts that the scenario plays on. */
export interface Parts {
  readonly kubernetes: Pick<KubeConnection, "request">;
  readonly webhook: { readonly url: string; readonly caPem: string };
  readonly aws: AwsAccess;
  readonly issuer: string;
  /** A folder that stands for the pod's file system. */
  readonly podFolder: string;
}

export interface Refusal {
  readonly case: string;
  /** The error code of STS. */
  readonly code: string;
}

/** What the demo proved; the shape of `irsa demo --json` without its `seconds`. */
export interface Outcome {
  readonly assumedRoleArn: string;
  /** When the credentials end, ISO 8601. */
  readonly expiration: string;
  readonly patch: readonly AddOperation[];
  readonly refusals: readonly Refusal[];
}

const SUBJECT = `system:serviceaccount:${objects.NAMESPACE}:${objects.SERVICE_ACCOUNT}`;
const WEBHOOK_TIMEOUT_MS = 5_000;

/** Plays the life of one pod, from the trust in AWS to the refusals. */
export async function play(parts: Parts, narrator: Narrator): Promise<Outcome> {
  const roleArn = await trustTheCluster(parts, narrator);
  await prepareNamespace(parts, roleArn, narrator);
  const { patch, stored } = await createPod(parts, narrator);
  const { token, sessionName } = await mountToken(parts, stored, roleArn, narrator);
  const { arn, expiration } = await useCredentials(
    parts,
    { roleArn, token, sessionName },
    narrator,
  );
  const refusals = await showRefusals(parts, { roleArn, token }, narrator);
  return { assumedRoleArn: arn, expiration, patch, refusals };
}

async function trustTheCluster(parts: Parts, narrator: Narrator): Promise<string> {
  const { aws, issuer } = parts;
  const { providerArn, roleArn } = await narrator.step(
    "Trust the cluster in AWS: an OIDC provider and a role",
    "In your account: IAM's CreateOpenIDConnectProvider once a cluster, and a role for each workload\n" +
      "whose trust policy names one ServiceAccount.",
    () =>
      createTrust(aws, { issuer, audience: objects.AUDIENCE, subject: SUBJECT }, objects.ROLE_NAME),
  );
  narrator.show([`provider  ${providerArn}`, `role      ${roleArn}`, `trusts    ${SUBJECT}`]);
  return roleArn;
}

async function prepareNamespace(parts: Parts, roleArn: string, narrator: Narrator): Promise<void> {
  const { kubernetes, webhook } = parts;
  await narrator.step(
    "Label a namespace, annotate a ServiceAccount, register the webhook",
    "In your cluster: kubectl label namespace, kubectl annotate serviceaccount. That is all a team does.",
    async () => {
      await create(kubernetes, "/api/v1/namespaces", objects.namespace);
      for (const name of [objects.SERVICE_ACCOUNT, objects.OTHER_SERVICE_ACCOUNT]) {
        const path = `/api/v1/namespaces/${objects.NAMESPACE}/serviceaccounts`;
        await create(kubernetes, path, objects.serviceAccount(name, roleArn));
      }
      await create(
        kubernetes,
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        objects.webhookConfiguration(webhook.url, webhook.caPem),
      );
    },
  );
  narrator.show([
    `namespace/${objects.NAMESPACE}  irsa-anywhere.io/injection=enabled`,
    `serviceaccount/${objects.SERVICE_ACCOUNT}  eks.amazonaws.com/role-arn=${roleArn}`,
  ]);
}

async function createPod(
  { kubernetes, webhook }: Parts,
  narrator: Narrator,
): Promise<{ patch: readonly AddOperation[]; stored: unknown }> {
  const result = await narrator.step(
    "Create a pod: the API server asks the webhook, the webhook adds an identity",
    "In your cluster: any pod, from any Deployment or Job. Lines with + are what the webhook added.",
    async () => {
      const address = { ...webhook, timeoutMs: WEBHOOK_TIMEOUT_MS };
      const { patch } = await askWebhook(address, objects.pod, objects.NAMESPACE);
      const stored = await createInjected(kubernetes, objects.pod);
      return { patch, stored };
    },
  );
  const patched = jsonPatch.applyPatch(structuredClone(objects.pod), [...result.patch]).newDocument;
  narrator.show(podDiff(objects.pod, patched, narrator.colors));
  return result;
}

async function mountToken(
  { kubernetes, issuer, podFolder }: Parts,
  stored: unknown,
  roleArn: string,
  narrator: Narrator,
): Promise<{ token: string; sessionName: string }> {
  const identity = injectedIdentity(stored);
  if (identity.roleArn !== roleArn) {
    const message = `The pod got the role "${identity.roleArn}": expected "${roleArn}"`;
    throw new AppError("DEMO_FAILED", 500, message);
  }
  const token = await narrator.step(
    "Mount the token that the pod asked for",
    "In your cluster: kubelet requests it, bound to this pod, writes it into the volume, and renews it.",
    async () => {
      const pod = { name: objects.pod.metadata.name, uid: identity.podUid };
      const made = await requestToken(kubernetes, {
        namespace: objects.NAMESPACE,
        serviceAccount: objects.SERVICE_ACCOUNT,
        audience: identity.audience,
        expirationSeconds: identity.expirationSeconds,
        pod,
      });
      await writeFile(join(podFolder, "token"), made, { mode: 0o600 });
      return made;
    },
  );
  const { iss, sub, aud, exp } = decodeJwt(token);
  if (iss !== issuer) {
    throw new AppError("DEMO_FAILED", 500, `The token's issuer is "${iss}": expected "${issuer}"`);
  }
  narrator.show([
    `iss  ${iss}`,
    `sub  ${sub}`,
    `aud  ${JSON.stringify(aud)}`,
    `exp  ${new Date((exp ?? 0) * 1000).toISOString()}`,
    `kid  ${decodeProtectedHeader(token).kid}`,
    `at   ${identity.tokenFile}`,
  ]);
  return { token, sessionName: objects.pod.metadata.name };
}

async function useCredentials(
  { aws }: Parts,
  request: { readonly roleArn: string; readonly token: string; readonly sessionName: string },
  narrator: Narrator,
): Promise<{ arn: string; expiration: string }> {
  const result = await narrator.step(
    "Exchange the token for credentials, and make a signed call with them",
    "In your cluster: the AWS SDK in the pod does it by itself. STS fetches the discovery document and\n" +
      "the keys from the issuer, verifies the token and evaluates the role's trust policy.",
    async () => {
      const credentials = await assumeRole(aws, request);
      const arn = await callerArn(aws, credentials);
      return { arn, expiration: credentials.expiration.toISOString() };
    },
  );
  narrator.show([
    `credentials until ${result.expiration}`,
    `GetCallerIdentity ${narrator.colors.bold(result.arn)}`,
  ]);
  return result;
}

async function showRefusals(
  { kubernetes, aws }: Parts,
  { roleArn, token }: { readonly roleArn: string; readonly token: string },
  narrator: Narrator,
): Promise<readonly Refusal[]> {
  const requested = { namespace: objects.NAMESPACE, expirationSeconds: 3600 };
  const [own, other] = [objects.SERVICE_ACCOUNT, objects.OTHER_SERVICE_ACCOUNT];
  const attempts: readonly (readonly [string, string, () => Promise<string>])[] = [
    [
      "wrong ServiceAccount",
      "AccessDenied",
      () =>
        requestToken(kubernetes, {
          ...requested,
          serviceAccount: other,
          audience: objects.AUDIENCE,
        }),
    ],
    [
      "wrong audience",
      "InvalidIdentityToken",
      () => requestToken(kubernetes, { ...requested, serviceAccount: own, audience: "vault" }),
    ],
    ["forged token", "InvalidIdentityToken", () => Promise.resolve(forgeToken(token))],
  ];
  const refusals = await narrator.step(
    "Try what must fail",
    "In your account: the same codes. A ServiceAccount that the role does not trust, a token made for\n" +
      "somebody else, and a token that the cluster did not sign.",
    async () => {
      const made: Refusal[] = [];
      for (const [name, expected, tokenOf] of attempts) {
        const attempt = { roleArn, token: await tokenOf(), sessionName: "refused" };
        const code = await refusalCode(aws, attempt);
        if (code !== expected) {
          const message = `STS refused the ${name} with "${code}": expected "${expected}"`;
          throw new AppError("DEMO_FAILED", 500, message);
        }
        made.push({ case: name, code });
      }
      return made;
    },
  );
  narrator.show(
    refusals.map(({ case: name, code }) => `${name.padEnd(22)}${narrator.colors.red(code)}`),
  );
  return refusals;
}
