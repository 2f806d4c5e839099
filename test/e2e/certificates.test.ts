import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fingerprintOf } from "../../webhook/certificates/certificate-state.ts";
import { untilWithin } from "../fakes/until.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { askReplica } from "./certificates/ask-replica.ts";
import { isInForce, startPodLoad } from "./certificates/pod-load.ts";
import { createTrustCheck } from "./certificates/trust-check.ts";
import { startWebhookReplicas, type WebhookReplicas } from "./certificates/webhook-replicas.ts";

// The webhook makes its own certificates, with the rights of its documentation and no more, and
// rotates certificate and CA while pods are created in a namespace where a failed call refuses the
// pod. Two replicas are processes behind one address; the one that rotates is killed on the way.

const until = untilWithin({ limitMs: 60_000, pauseMs: 200 });
const ROTATIONS = 3;

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let replicas: WebhookReplicas;

before(async () => {
  if (skip !== false) return;
  replicas = await startWebhookReplicas(cleanUp);
  await until("the webhook is in force", () => isInForce(replicas.kube));
});
after(() => cleanUp.disposeAsync());

describe("own certificates on a real API server", { skip }, () => {
  it("rotate with their CA under load, though a replica is killed, and lose no pod", async (t) => {
    const load = startPodLoad(replicas.kube);
    const trust = createTrustCheck(replicas);
    const cas = new Set<string>();
    const certificates = new Set<string>();
    let isKilled = false;
    await until(`${ROTATIONS} rotations`, async () => {
      const { signing, serving } = await replicas.storedState();
      cas.add(fingerprintOf(signing.cert));
      certificates.add(fingerprintOf(serving.cert));
      // The API server keeps its connections, and would hardly ever look at a certificate.
      await load.between(() => replicas.balancer.refresh());
      await trust.check();
      if (cas.size === 2 && !isKilled) {
        isKilled = true;
        await replicas.replaceHolder((work) => load.between(work));
      }
      assert.deepEqual(load.failures, []);
      return cas.size > ROTATIONS;
    });
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.ok(isKilled);
    assert.ok(certificates.size > ROTATIONS);
    assert.ok(load.created > 100, `only ${load.created} pods were created`);
    t.diagnostic(`${load.created} pods, ${cas.size} CAs, ${certificates.size} certificates`);
  });

  it("are served by every replica, and the bundles hold no CA that is gone", async () => {
    await until("both serve what is stored", async () => {
      const { serving } = await replicas.storedState();
      const served = await Promise.all(
        [...replicas.running.values()].map(({ port }) => askReplica(port)),
      );
      return served.every(
        ({ status, fingerprint }) => status === 200 && fingerprint === fingerprintOf(serving.cert),
      );
    });
    const bundle = await replicas.storedBundle();
    assert.ok((bundle.match(/BEGIN CERTIFICATE/g) ?? []).length <= 2);
  });

  it("leave no private key in the logs", async () => {
    for (const name of ["one", "two"]) {
      assert.doesNotMatch(await replicas.logOf(name), /PRIVATE KEY|LS0tLS1CRUdJTiB/);
    }
  });
});
