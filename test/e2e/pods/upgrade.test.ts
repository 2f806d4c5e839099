import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connect } from "../../../lib/kube/connection.ts";
import { allObjects } from "../../helm/all-objects.ts";
import { NAMESPACE } from "../../helm/rendered-chart.ts";
import { eventually } from "./eventually.ts";
import * as installation from "./installation.ts";
import { createPodsUntil, type PodLoad } from "./pod-load.ts";
import {
  missingProductParts,
  startProductCluster,
  type ProductCluster,
} from "./product-cluster.ts";
import { timed } from "./timed.ts";

// Another image and other values, while pods are created all the time; and the end of the installation.

const skip = (await missingProductParts(process.env)) ?? false;
const { TEAM } = installation;
const ROLE = "arn:aws:iam::111122223333:role/app";

let product: ProductCluster;
let atFirst: readonly string[];
before(async () => {
  if (skip !== false) return;
  product = await startProductCluster({});
  await installation.prepareNamespace(product);
  await installation.createCoveredNamespace(product.cluster, TEAM, ROLE);
  atFirst = await eventually("what every namespace has", async () => {
    const objects = await objectsNow();
    return [NAMESPACE, TEAM].every((name) => objects.includes(`v1/serviceaccounts ${name}/default`))
      ? objects
      : undefined;
  });
  await timed("helm install until all of it runs", async () => {
    await installation.runHelm(product, "install");
    await installation.untilRolledOut(product.cluster, "irsa-webhook", "irsa-issuer");
    await installation.untilPodsAreMutated(product.cluster, TEAM);
  });
});
after(() => product?.[Symbol.asyncDispose]());

describe("helm upgrade on a node", { skip }, () => {
  it("misses no pod with another image and other values", async (t) => {
    const tag = await loadAnotherImage();
    const load = await loadDuring(async () => {
      await installation.runHelm(product, "upgrade", {
        image: { tag },
        webhook: { settings: { "aws-default-region": "us-west-2" } },
      });
      await installation.untilRolledOut(product.cluster, "irsa-webhook", "irsa-issuer");
    });
    t.diagnostic(`${load.created} pods, the slowest ${load.slowestMs.toFixed(0)} ms`);
    assert.deepEqual([load.withoutRole, load.refused], [[], []]);
    const { items } = await product.cluster.admin.core.listNamespacedPod({ namespace: NAMESPACE });
    const images = new Set(items.map(({ spec }) => spec?.containers[0]?.image));
    assert.deepEqual(images, new Set([`localhost/irsa-anywhere:${tag}`]));
    assert.match(await newestPod(), /"AWS_REGION","value":"us-west-2"/);
  });

  it("misses no pod on the way back", async (t) => {
    const load = await loadDuring(async () => {
      await installation.rollBack(product);
      await installation.untilRolledOut(product.cluster, "irsa-webhook", "irsa-issuer");
    });
    t.diagnostic(`${load.created} pods, the slowest ${load.slowestMs.toFixed(0)} ms`);
    assert.deepEqual([load.withoutRole, load.refused], [[], []]);
  });
});

describe("helm uninstall on a node", { skip }, () => {
  it("refuses no pod, and leaves the issuer's keys and nothing else", async () => {
    const load = await loadDuring(() => installation.uninstallRelease(product));
    assert.deepEqual(load.refused, []);
    await product.cluster.kubectl("delete", "pods", "--all", `-n${TEAM}`, "--wait=false");
    const expected = [...atFirst, `v1/configmaps ${NAMESPACE}/irsa-issuer-keys`].toSorted();
    let found: readonly string[] = [];
    await eventually("what was there before", async () => {
      found = await objectsNow();
      return found.join() === expected.join() || undefined;
    }).catch(() => assert.deepEqual(found, expected));
  });
});

/** Pods are created from before it until it and what it sets off are over. */
async function loadDuring(change: () => Promise<unknown>): Promise<PodLoad> {
  let isOver = false;
  const changing = async (): Promise<void> => {
    await change();
    await eventually("the end of the pods that were replaced", async () => {
      const pods = await product.cluster.admin.core.listNamespacedPod({ namespace: NAMESPACE });
      const ending = pods.items.filter(({ metadata }) => metadata?.deletionTimestamp !== undefined);
      return ending.length === 0 || undefined;
    });
  };
  let changed: Promise<void> | undefined;
  let afterwards = 0;
  const load = await createPodsUntil(product.cluster, TEAM, (created) => {
    if (created === 10) {
      changed ??= changing().finally(() => {
        isOver = true;
      });
    }
    if (isOver) afterwards += 1;
    return afterwards > 20;
  });
  await changed;
  return load;
}

/** The same program in an image that differs. @returns its tag. */
async function loadAnotherImage(): Promise<string> {
  const { buildah, cluster, folder, image } = product;
  const context = join(folder, "another");
  await mkdir(context);
  await writeFile(join(context, "Dockerfile"), `FROM ${image}\nCOPY Dockerfile /app/\n`);
  const [name = ""] = image.split(":");
  await buildah.build(context, { tag: `${name}:another`, pull: false });
  const file = join(folder, "another.tar");
  await buildah.save(`${name}:another`, file);
  await cluster.loadImage(file);
  return "another";
}

async function newestPod(): Promise<string> {
  const namespace = TEAM;
  const { items } = await product.cluster.admin.core.listNamespacedPod({ namespace });
  // Many are created in the one second that a creationTimestamp tells.
  const version = ({ metadata }: (typeof items)[number]): number =>
    Number(metadata?.resourceVersion ?? 0);
  return JSON.stringify(items.toSorted((a, b) => version(b) - version(a))[0]?.spec);
}

function objectsNow(): Promise<readonly string[]> {
  return allObjects(connect({ kubeconfig: product.cluster.kubeconfig }));
}
