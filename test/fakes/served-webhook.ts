import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpsRequest } from "node:https";
import { text } from "node:stream/consumers";
import { Registry } from "prom-client";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { listen } from "../../lib/http.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";
import { createApp, type AppDeps } from "../../webhook/app.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { mutationSettingsOf } from "../../webhook/mutation/mutation-config.ts";
import { NO_ASSOCIATION } from "../../webhook/identity/identity-source.ts";
import { createMetrics } from "../../webhook/metrics.ts";
import { createCollectedLog } from "./collected-log.ts";

const JSON_TYPE = { "content-type": "application/json" };
/** The role of every ServiceAccount. */
export const ROLE_ARN = "arn:aws:iam::111122223333:role/s3-reader";
export const POD = {
  metadata: { generateName: "app-" },
  spec: { serviceAccountName: "app", containers: [{ name: "app", env: [{ value: "s3cret" }] }] },
};
/** Asks about a new pod. */
export const REVIEW = {
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "u-1", namespace: "team", operation: "CREATE", object: POD },
};
export const REVIEW_JSON = JSON.stringify(REVIEW);

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** The app over TLS, with all that it has told. */
export interface ServedWebhook extends AsyncDisposable {
  readonly port: number;
  readonly ca: string;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly registry: Registry;
  send(options: {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  }): Promise<Answer>;
}

/** Made once, since that takes its time. */
let keyPairOfTests: Promise<KeyPair> | undefined;

async function newKeyPair(): Promise<KeyPair> {
  const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  const authority = await createAuthority("Test CA", validity);
  return issueServingCertificate(authority, ["127.0.0.1"], validity);
}

/** Serves the app over TLS on loopback, with ServiceAccounts that all have the same state. */
export async function serveWebhook(deps: Partial<AppDeps> = {}): Promise<ServedWebhook> {
  const keyPair = await (keyPairOfTests ??= newKeyPair());
  const { log, lines } = createCollectedLog();
  const registry = new Registry();
  const app = createApp({
    settings: mutationSettingsOf(webhookConfig.parse([], {}), undefined),
    stateOf: async () => ({
      status: "found",
      annotations: { "eks.amazonaws.com/role-arn": ROLE_ARN },
    }),
    associationOf: async () => NO_ASSOCIATION,
    random: () => 0,
    placeOf: async () => undefined,
    policyOf: async () => ({}),
    validation: "warn",
    notReadyBecause: () => undefined,
    log,
    metrics: createMetrics(registry),
    ...deps,
  });
  const server = await listen(app, { port: 0, host: "127.0.0.1", drainMs: 0, keyPair });
  const { port } = server;
  return {
    port,
    ca: keyPair.cert,
    log: lines,
    registry,
    async send({ method = "POST", path = "/mutate", headers = JSON_TYPE, body = "" }) {
      const req = httpsRequest({
        host: "127.0.0.1",
        port,
        ca: keyPair.cert,
        agent: false,
        method,
        path,
        headers: { ...headers, "content-length": Buffer.byteLength(body) },
      });
      req.end(body);
      const [res] = await once(req, "response");
      return { status: res.statusCode, headers: res.headers, body: await text(res) };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The good request that shows that a server is still well. */
export async function assertAlive(served: ServedWebhook): Promise<void> {
  const { status, body } = await served.send({ body: REVIEW_JSON });
  assert.equal(status, 200);
  assert.equal(JSON.parse(body).response.patchType, "JSONPatch");
}
