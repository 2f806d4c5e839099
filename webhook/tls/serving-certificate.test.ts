import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { TLSSocket } from "node:tls";
import { Registry } from "prom-client";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { startObjectServer, type ObjectServer } from "../../test/fakes/object-server.ts";
import { until } from "../../test/fakes/until.ts";
import { webhookConfig } from "../config.ts";
import { startWebhook, type RunningWebhook } from "../main.ts";
import { certificateSettingsOf } from "../certificates/certificate-config.ts";
import { caBundleOf, fingerprintOf } from "../certificates/certificate-state.ts";
import { afterStep } from "../certificates/make-certificates.ts";
import { parseSecretData, secretDataOf } from "../certificates/secret-data.ts";

const MUTATING =
  "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/irsa-anywhere";
const SECRETS = "/api/v1/namespaces/eks/secrets";
const SECRET = `${SECRETS}/pod-identity-webhook`;
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/eks/leases/pod-identity-webhook";

/** As another replica with the same settings would make certificates. */
const MADE = { clock: Date, settings: certificateSettingsOf(webhookConfig.parse([], {})) };

let server: ObjectServer;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  server = stack.use(await startObjectServer());
  server.put(MUTATING, { webhooks: [{ name: "pods", clientConfig: {} }] });
});
afterEach(() => stack.disposeAsync());

/** The webhook with the defaults of its certificates, as in a cluster. */
async function start(registry = new Registry()): Promise<RunningWebhook> {
  const flags = ["--host=127.0.0.1", "--port=0", "--metrics-port=0", "--drain-seconds=1"];
  const config = webhookConfig.parse([...flags, `--kube-api=${server.url}`], {});
  const { log } = createCollectedLog();
  return stack.use(await startWebhook(config, { log, env: { HOSTNAME: "pod-1" }, registry }));
}

/** Asks on a connection of its own; with `ca` as the API server does, without as a probe does. */
async function get(
  { port }: RunningWebhook,
  path: string,
  ca?: string,
): Promise<{ answer: readonly [number, string]; fingerprint: string }> {
  const trust = ca === undefined ? { rejectUnauthorized: false } : { ca };
  const servername = "pod-identity-webhook.eks.svc";
  const asked = request({ host: "127.0.0.1", port, path, agent: false, servername, ...trust });
  const [response] = await once(asked.end(), "response");
  const { raw } = (response.socket as TLSSocket).getPeerCertificate();
  const pem = `-----BEGIN CERTIFICATE-----\n${raw.toString("base64")}\n-----END CERTIFICATE-----\n`;
  const answer = [response.statusCode, await text(response)] as const;
  return { answer, fingerprint: fingerprintOf(pem) };
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + 30_000;
  while (!(await holds())) assert.ok(performance.now() < limit, `waited in vain until ${what}`);
}

describe("the webhook with certificates of its own", () => {
  it("is reached by the name of its Service with the CA that it has put into caBundle", async () => {
    const registry = new Registry();
    const webhook = await start(registry);
    await webhook.whenReady;
    const { webhooks } = server.objects.get(MUTATING) as {
      webhooks?: readonly { clientConfig: { caBundle: string } }[];
    };
    const ca = Buffer.from(webhooks?.[0]?.clientConfig.caBundle ?? "", "base64").toString("utf8");
    const { answer } = await get(webhook, "/readyz", ca);
    assert.deepEqual(answer, [200, "ok\n"]);
    const [expiry] =
      (await registry.getSingleMetric("irsa_webhook_certificate_expiry_timestamp_seconds")?.get())
        ?.values ?? [];
    assert.ok(Number(expiry?.value) > Date.now() / 1000 + 89 * 24 * 3600);
    const { spec } = server.objects.get(LEASE) as { spec?: { holderIdentity: string } };
    assert.match(spec?.holderIdentity ?? "", /^pod-1_/);
  });

  it("answers probes while another replica makes the Secret, then serves that", async () => {
    const renewTime = new Date().toISOString();
    const spec = { holderIdentity: "another", renewTime, leaseDurationSeconds: 3600 };
    server.put(LEASE, { spec });
    const webhook = await start();
    const missing = "Secret eks/pod-identity-webhook holds no certificates yet\n";
    await eventually("it waits for the Secret", async () => {
      const [status, reason] = (await get(webhook, "/readyz")).answer;
      return status === 503 && reason === missing;
    });
    const provisional = await get(webhook, "/healthz");
    assert.deepEqual(provisional.answer, [200, "ok\n"]);

    const state = await afterStep("create", undefined, MADE);
    const caBundle = Buffer.from(caBundleOf(state)).toString("base64");
    server.put(MUTATING, { webhooks: [{ name: "pods", clientConfig: { caBundle } }] });
    server.put(SECRET, { data: secretDataOf(state) });
    await webhook.whenReady;
    const { answer, fingerprint } = await get(webhook, "/readyz", caBundleOf(state));
    assert.deepEqual(answer, [200, "ok\n"]);
    assert.equal(fingerprint, fingerprintOf(state.serving.cert));
    assert.notEqual(fingerprint, provisional.fingerprint);
  });

  it("finishes what is open on an old connection after a new certificate", async () => {
    const webhook = await start();
    await webhook.whenReady;
    const before = parseSecretData((server.objects.get(SECRET) as { data?: {} })?.data ?? {});
    const servername = "pod-identity-webhook.eks.svc";
    const ca = caBundleOf(before);
    const open = request({
      host: "127.0.0.1",
      port: webhook.port,
      servername,
      ca,
      agent: false,
      path: "/mutate",
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    open.write(" ");
    await once(open, "socket");
    const socket = open.socket as TLSSocket;
    if (!socket.authorized) await once(socket, "secureConnect");

    const renewed = await afterStep("renew", before, MADE);
    server.put(SECRET, { data: secretDataOf(renewed) });
    await eventually("the new certificate is served", async () => {
      const { fingerprint } = await get(webhook, "/healthz", ca);
      return fingerprint === fingerprintOf(renewed.serving.cert);
    });
    open.end("{}");
    const [response] = await once(open, "response");
    assert.equal(response.statusCode, 200);
    assert.match(await text(response), /allowed/);
  });

  it("gives the Lease back when it stops", async () => {
    const webhook = await start();
    await webhook.whenReady;
    await webhook[Symbol.asyncDispose]();
    await until("the lease has no holder", () => {
      const { spec } = server.objects.get(LEASE) as { spec?: { holderIdentity: string } };
      return spec?.holderIdentity === "";
    });
  });
});
