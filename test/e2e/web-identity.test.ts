import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { decodeProtectedHeader } from "jose";
import { createTrust } from "../../cli/demo/aws-account.ts";
import { startChain, type Chain } from "../../cli/demo/chain.ts";
import {
  create,
  createInjected,
  injectedIdentity,
  requestToken,
  type InjectedIdentity,
} from "../../cli/demo/kubernetes-client.ts";
import * as objects from "../../cli/demo/kubernetes-objects.ts";
import { silentNarrator } from "../../cli/demo/narrator.ts";
import { startRealCluster } from "../../cli/demo/real-cluster.ts";
import { createLogger } from "../../lib/log.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { ensurePythonEnvironment, hasPython } from "./python-environment.ts";

// The whole chain on a real API server: the pod comes back with a token volume and a role, the token
// is requested as kubelet does, and unmodified SDKs with nothing but the injected environment call an
// STS that trusts only what the issuer publishes.

const REGION = "eu-central-1";
const client = (file: string): string => new URL(`clients/${file}`, import.meta.url).pathname;

const python = await hasPython();
const skip = (await missingComponents(process.env)) ?? false;
let folder: string;
let chain: Chain;
let identity: InjectedIdentity;
let token: string;
let injectedEnv: Record<string, string>;

before(async () => {
  if (skip !== false) return;
  folder = await mkdtemp(join(tmpdir(), "irsa-e2e-"));
  chain = await startChain(startRealCluster, {
    narrator: silentNarrator,
    log: createLogger({ level: "error", service: "e2e" }, process.stderr),
    nowMs: Date.now(),
    // What a pod would see at this path is a folder that this test can write.
    webhookFlags: [
      `--token-mount-path=${join(folder, "serviceaccount")}`,
      `--aws-default-region=${REGION}`,
      "--token-expiration=7200",
      "--sts-regional-endpoint",
    ],
  });
  const { kubernetes, aws, issuer, webhook } = chain.parts;
  const subject = `system:serviceaccount:${objects.NAMESPACE}:${objects.SERVICE_ACCOUNT}`;
  const trust = { issuer, audience: objects.AUDIENCE, subject };
  const { roleArn } = await createTrust(aws, trust, objects.ROLE_NAME);
  await create(kubernetes, "/api/v1/namespaces", objects.namespace);
  await create(
    kubernetes,
    `/api/v1/namespaces/${objects.NAMESPACE}/serviceaccounts`,
    objects.serviceAccount(objects.SERVICE_ACCOUNT, roleArn),
  );
  await create(
    kubernetes,
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    objects.webhookConfiguration(webhook.url, webhook.caPem),
  );
  const stored = await createInjected(kubernetes, objects.pod);
  identity = injectedIdentity(stored);
  injectedEnv = envOf(stored);
  token = await requestToken(kubernetes, {
    namespace: objects.NAMESPACE,
    serviceAccount: objects.SERVICE_ACCOUNT,
    audience: identity.audience,
    expirationSeconds: identity.expirationSeconds,
    pod: { name: objects.pod.metadata.name, uid: identity.podUid },
  });
  await mkdir(dirname(identity.tokenFile), { recursive: true });
  await writeFile(identity.tokenFile, token, { mode: 0o600 });
});

after(async () => {
  await chain?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("a pod created through a real API server", { skip }, () => {
  it("comes back with the role, the region and the token's audience and life", () => {
    assert.equal(identity.audience, "sts.amazonaws.com");
    assert.equal(identity.expirationSeconds, 7200);
    assert.deepEqual(injectedEnv, {
      REPORT_BUCKET: "quarterly-reports",
      AWS_STS_REGIONAL_ENDPOINTS: "regional",
      AWS_DEFAULT_REGION: REGION,
      AWS_REGION: REGION,
      AWS_ROLE_ARN: identity.roleArn,
      AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, "serviceaccount", "token"),
    });
  });

  const clients = [
    ["AWS SDK for JavaScript v3", () => Promise.resolve([process.execPath, client("sdk-v3.ts")])],
    ["AWS SDK for JavaScript v2", () => Promise.resolve([process.execPath, client("sdk-v2.ts")])],
    ["boto3", async () => [await ensurePythonEnvironment(), client("boto3_client.py")]],
  ] as const;
  for (const [name, commandOf] of clients) {
    const skipClient = name === "boto3" && !python && "needs Python 3 with venv";
    it(
      `is its role for the ${name}, with nothing but the injected environment`,
      { skip: skipClient },
      async () => {
        const [program = "", ...args] = await commandOf();
        const callsBefore = chain.aws.calls().length;
        const { stdout } = await promisify(execFile)(program, args, { env: clientEnv() });
        const { arn } = JSON.parse(stdout) as { arn: string };
        assert.match(arn, /^arn:aws:sts::\d{12}:assumed-role\/report-reader\/.+$/);

        const calls = chain.aws.calls().slice(callsBefore);
        assert.deepEqual(
          calls.map(({ action, code }) => `${action} ${code}`),
          ["AssumeRoleWithWebIdentity OK", "GetCallerIdentity OK"],
        );
        assert.deepEqual(calls[0]?.webIdentity, {
          issuer: chain.parts.issuer,
          subject: "system:serviceaccount:reports:report-reader",
          audience: "sts.amazonaws.com",
          kid: decodeProtectedHeader(token).kid,
          isVerified: true,
        });
        assert.ok(!JSON.stringify(calls).includes(token.split(".")[2] ?? token));
      },
    );
  }
});

/** What a container would have: the injected variables, and where this test's AWS is. */
function clientEnv(): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    ...injectedEnv,
    AWS_ENDPOINT_URL_STS: chain.aws.sts,
    AWS_CA_BUNDLE: chain.aws.ca,
    NODE_EXTRA_CA_CERTS: chain.aws.ca,
    AWS_EC2_METADATA_DISABLED: "true",
  };
}

function envOf(stored: unknown): Record<string, string> {
  const { spec } = stored as {
    spec: { containers: readonly [{ env: readonly { name: string; value: string }[] }] };
  };
  return Object.fromEntries(spec.containers[0].env.map(({ name, value }) => [name, value]));
}
