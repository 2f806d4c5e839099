import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { churnSeconds } from "../../shim/churn-seconds.ts";
import { CHURN_NAMESPACE, judge } from "../../shim/churn.ts";
import {
  missingProductParts,
  startProductCluster,
  type ProductCluster,
} from "./product-cluster.ts";
import { answersOfPods, churnKubelet, countSuccessions } from "./shim/kubelet-churn.ts";
import { itIsStrict } from "./shim/strict-answers.ts";
import { installStrictShim, type StrictShim } from "./shim/strict-shim.ts";

// The shim with the defaults of the chart, on a node without IPv6 whose pods have 13 addresses.
// Its pods follow each other for 60 s, 20 s with CI=true, or IRSA_CHURN_SECONDS.

const skip = (await missingProductParts(process.env)) ?? false;
const SECONDS = churnSeconds(process.env, { ci: 20 });
const POD_SUBNET_BITS = 28;
/** Less the node's own, and those of webhook and issuer. */
const FREE_ADDRESSES = 11;

const cleanUp = new AsyncDisposableStack();
let product: ProductCluster;
before(async () => {
  if (skip !== false) return;
  const few = { podSubnetBits: POD_SUBNET_BITS };
  product = cleanUp.use(await startProductCluster({ ...few, iptables: true }));
});
after(() => cleanUp.disposeAsync());

describe("the strict shim on a node with few addresses", { skip }, () => {
  let installed: StrictShim;
  before(async () => {
    if (skip === false) installed = await installStrictShim(product);
  });

  itIsStrict(() => installed);

  it("never gives a pod the credentials of another that had its address", async (t) => {
    const { cluster } = product;
    await cluster.kubectl("create", "namespace", CHURN_NAMESPACE);
    const where = ["namespace", CHURN_NAMESPACE];
    await cluster.kubectl("label", ...where, "irsa-anywhere.io/injection=enabled");
    await cluster.kubectl("annotate", ...where, "irsa-anywhere.io/http-tokens=optional");
    const lived = await churnKubelet({
      cluster,
      roleArn: installed.churnRoleArn,
      seconds: SECONDS,
      // So that one that is on its way out leaves an address for the next.
      slots: FREE_ADDRESSES - 2,
    });
    const all = await answersOfPods(cluster);
    const subjects = product.aws
      .calls()
      .map(({ issuedKeyId = "", webIdentity }) => [issuedKeyId, webIdentity?.subject] as const);
    const { answers, served, keys, wrong, byStatus } = judge(all, new Map(subjects));
    const addresses = new Set(all.map(({ address }) => address)).size;
    const successions = countSuccessions(all);
    t.diagnostic(
      `${SECONDS} s: ${answers} answers, ${lived.length} pods, ${wrong.length} foreign; ${served} of ` +
        `them got ${keys} keys; ${addresses} addresses went to the next pod ${successions} times; ` +
        `by status: ${JSON.stringify(byStatus)}`,
    );
    assert.deepEqual(wrong, []);
    // That it was put to the test at all, also on a slow machine.
    assert.ok(addresses <= FREE_ADDRESSES, `${addresses} addresses`);
    assert.ok(lived.length > FREE_ADDRESSES, `${lived.length} pods`);
    assert.ok(served >= lived.length / 3, `${served} of ${lived.length}`);
    assert.ok(successions > 0);
  });
});
