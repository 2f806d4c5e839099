import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { jwksOfPem } from "../../oidc-issuer/jwk.ts";
import { startIssuer, type RunningIssuer } from "../../oidc-issuer/main.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { getByHost } from "./get-by-host.ts";

// The issuer as a pod of the cluster runs it: with the rights of its own ServiceAccount, which are those
// of docs/issuer.md and no others, it finds two real API servers by the EndpointSlice and keeps their
// keys in a ConfigMap.

const skip = (await missingComponents(process.env)) ?? false;
const HOST = "oidc.in-cluster.example";
const NAMESPACE = "irsa-system";

const newKeyPem = (): string =>
  generateKeyPairSync("rsa", { modulusLength: 2048 })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();
const [oldPem, newPem] = [newKeyPem(), newKeyPem()];
const kids = jwksOfPem(oldPem + newPem)
  .map(({ kid }) => kid)
  .toSorted();

let plane: ControlPlane;
let kubeconfig: string;

before(async () => {
  if (skip !== false) return;
  plane = await startControlPlane({
    issuers: [`https://${HOST}`],
    // In the middle of a rotation: the second has the new key already, the first does not know it.
    apiServers: [
      { signingKeyPem: oldPem },
      { signingKeyPem: oldPem, verificationKeysPem: [oldPem, newPem] },
    ],
  });
  await plane.createServiceAccount(NAMESPACE, "issuer");
  ({ kubeconfig } = await plane.asServiceAccount(NAMESPACE, "issuer"));
  await allow("default", [
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list"] },
  ]);
});

after(() => plane?.[Symbol.asyncDispose]());

describe("the issuer with the rights of its ServiceAccount", { skip }, () => {
  it("publishes the keys of every API server that the EndpointSlice names", async () => {
    await using issuer = await start();
    await until(async () => (await publishedKids(issuer)).length === 2);
    assert.deepEqual(await publishedKids(issuer), kids);
  });

  it("keeps the keys in a ConfigMap as soon as it may, and finds them there", async () => {
    const state = ["--state-configmap", `${NAMESPACE}/issuer-keys`];
    {
      await using issuer = await start(...state);
      await until(async () => (await publishedKids(issuer)).length === 2);
      // Without the right it serves, and goes on trying.
      assert.match(await metrics(issuer), /oidc_state_errors_total\{operation="load"\} 1/);
      await allow(NAMESPACE, [
        { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
        {
          apiGroups: [""],
          resources: ["configmaps"],
          resourceNames: ["issuer-keys"],
          verbs: ["get", "update"],
        },
      ]);
      await until(async () =>
        /oidc_state_last_save_timestamp_seconds \d/.test(await metrics(issuer)),
      );
    }
    const { data } = await plane.admin.core.readNamespacedConfigMap({
      namespace: NAMESPACE,
      name: "issuer-keys",
    });
    for (const kid of kids) assert.ok(data?.["state.json"]?.includes(kid));

    await plane.apiServers[1]?.stop();
    await using again = await start(...state);
    assert.deepEqual(await publishedKids(again), kids);
  });
});

interface Rule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly resourceNames?: string[];
  readonly verbs: string[];
}

async function allow(namespace: string, rules: readonly Rule[]): Promise<void> {
  const metadata = { name: "irsa-issuer", namespace };
  await plane.admin.rbac.createNamespacedRole({ namespace, body: { metadata, rules: [...rules] } });
  await plane.admin.rbac.createNamespacedRoleBinding({
    namespace,
    body: {
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: metadata.name },
      subjects: [{ kind: "ServiceAccount", namespace: NAMESPACE, name: "issuer" }],
    },
  });
}

function start(...more: readonly string[]): Promise<RunningIssuer> {
  const flags = ["--issuer", `https://${HOST}`, "--kubeconfig", kubeconfig, "--poll-seconds", "1"];
  flags.push("--host", "127.0.0.1", "--port", "0", "--metrics-port", "0");
  return startIssuer(issuerConfig.parse([...flags, ...more], {}), createCollectedLog());
}

async function publishedKids({ port }: RunningIssuer): Promise<readonly string[]> {
  const { status, body } = await getByHost(`http://127.0.0.1:${port}/openid/v1/jwks`, HOST);
  if (status !== 200) return [];
  const { keys } = JSON.parse(body) as { keys: readonly { kid: string }[] };
  return keys.map(({ kid }) => kid);
}

async function metrics({ metricsPort }: RunningIssuer): Promise<string> {
  return (await getByHost(`http://127.0.0.1:${metricsPort}/metrics`, HOST)).body;
}

async function until(isReached: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!(await isReached())) {
    assert.ok(performance.now() < deadlineMs, "not reached within 30 s");
    await sleep(100);
  }
}
