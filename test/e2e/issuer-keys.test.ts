import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeProtectedHeader } from "jose";
import { createLogger } from "../../lib/log.ts";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { startIssuer, type RunningIssuer } from "../../oidc-issuer/main.ts";
import type { ApiServer } from "../kubernetes/api-server.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { getByHost } from "./get-by-host.ts";

// Two real API servers with different keys, as in the middle of a rotation: the issuer publishes the
// union, and goes on with it when one, or both, are gone, also when it is itself restarted.

const HOST = "oidc.keys.example";
const ISSUER = `https://${HOST}`;
const log = createLogger({ level: "error", service: "e2e" }, process.stderr);

const newKeyPem = (): string =>
  generateKeyPairSync("rsa", { modulusLength: 2048 })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();

const skip = (await missingComponents(process.env)) ?? false;
let folder: string;
let plane: ControlPlane;

before(async () => {
  if (skip !== false) return;
  folder = await mkdtemp(join(tmpdir(), "irsa-e2e-"));
  plane = await startControlPlane({
    issuers: [ISSUER],
    apiServers: [{ signingKeyPem: newKeyPem() }, { signingKeyPem: newKeyPem() }],
  });
  await plane.createServiceAccount("default", "probe");
});

after(async () => {
  await plane?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("the issuer with two API servers that sign with different keys", { skip }, () => {
  it("publishes both keys, also with one stopped, and restarted with both stopped", async () => {
    const [first, second] = plane.apiServers;
    assert.ok(second);
    const both = [await signedKid(first), await signedKid(second)].toSorted();
    assert.equal(new Set(both).size, 2);
    {
      await using issuer = await start();
      await until(async () => (await publishedKids(issuer)).length === 2);
      assert.deepEqual(await publishedKids(issuer), both);

      await second.stop();
      await until(async () => (await failedPolls(issuer)).has(second.url));
      assert.deepEqual(await publishedKids(issuer), both);
      await first.stop();
    }
    await using issuer = await start();
    assert.deepEqual(await publishedKids(issuer), both);
    await until(async () => (await failedPolls(issuer)).size === 2);
    assert.deepEqual(await publishedKids(issuer), both);
  });
});

/** The `kid` of a token that this API server signs: what STS will look for. */
async function signedKid({ admin }: ApiServer): Promise<string> {
  const { status } = await admin.core.createNamespacedServiceAccountToken({
    name: "probe",
    namespace: "default",
    body: { spec: { audiences: ["sts.amazonaws.com"], expirationSeconds: 600 } },
  });
  return decodeProtectedHeader(status?.token ?? "").kid ?? "";
}

function start(): Promise<RunningIssuer> {
  const flags = ["--issuer", ISSUER, "--kubeconfig", plane.kubeconfig, "--poll-seconds", "1"];
  for (const { url } of plane.apiServers) flags.push("--api-server", url);
  flags.push(
    "--state-file",
    join(folder, "keys.json"),
    "--host=127.0.0.1",
    "--port=0",
    "--metrics-port=0",
  );
  return startIssuer(issuerConfig.parse(flags, {}), { log });
}

async function publishedKids({ port }: RunningIssuer): Promise<readonly string[]> {
  const { status, body } = await getByHost(`http://127.0.0.1:${port}/openid/v1/jwks`, HOST);
  if (status !== 200) return [];
  const { keys } = JSON.parse(body) as { keys: readonly { kid: string }[] };
  return keys.map(({ kid }) => kid).toSorted();
}

/** The API servers whose polls have failed since the issuer's start. */
async function failedPolls({ metricsPort }: RunningIssuer): Promise<ReadonlySet<string>> {
  const { body } = await getByHost(`http://127.0.0.1:${metricsPort}/metrics`, HOST);
  const lines = body.matchAll(/^oidc_upstream_errors_total\{.*instance="([^"]+)".*\} [1-9]/gm);
  return new Set([...lines].map(([, instance = ""]) => instance));
}

async function until(isReached: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!(await isReached())) {
    assert.ok(performance.now() < deadlineMs, "not reached within 30 s");
    await sleep(100);
  }
}
