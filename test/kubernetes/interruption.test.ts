// However the process that started a control plane ends, nothing is left of it.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";
import { z } from "zod";
import { missingComponents } from "./components.ts";
import { startRun } from "./killable-run.ts";
import { cgroupsOf, mountsWith, namespacesOf, processesIn } from "./kernel-traces.ts";
import { missingNodeParts } from "./nodes/missing-node-parts.ts";
import { lasting, processesWith, remainsOf } from "./remains.ts";
import { createReadyPod, toolsPod } from "./running-pod.ts";

const skip = (await missingComponents(process.env)) ?? false;
const skipNodes = (await missingNodeParts(process.env)) ?? false;
const linksBefore = skipNodes === false ? (await readdir("/sys/class/net")).toSorted() : [];
const kubeletMountsBefore = await mountsWith("kubelet");
const Shells = z.object({ kubeconfig: z.string(), shells: z.record(z.string(), z.string()) });
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

describe("a control plane whose starter ends", { skip }, () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    it(`by ${signal} when it runs`, async () => {
      await using run = await startRun(MAIN, "--controller-manager=false", "--scheduler=false");
      const line = await run.firstLine();
      const { kubeconfig, server } = JSON.parse(line) as Record<string, string>;
      assert.ok(kubeconfig?.startsWith(run.folder));
      assert.match(server ?? "", /^https:\/\/127\.0\.0\.1:\d+$/);
      assert.notDeepEqual(await processesWith(`${run.folder}/irsa-kube-`), []);
      await run.end(signal);
      assert.deepEqual(await remainsOf(run.folder), []);
    });
  }

  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    it(`by ${signal} while it starts`, async () => {
      await using run = await startRun(MAIN, "--controller-manager=false", "--scheduler=false");
      while (
        !(await processesWith(`${run.folder}/irsa-kube-`)).some((line) => line.includes(" etcd "))
      ) {
        await sleep(10);
      }
      await run.end(signal);
      await run.startNext();
      assert.deepEqual(await remainsOf(run.folder), []);
    });
  }
});

describe("a cluster whose starter ends", { skip: skipNodes }, () => {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    it(`by ${signal} when a pod runs, and then a second one in its place`, async () => {
      await using run = await startRun(MAIN, "--nodes=1");
      const { kubeconfig, shells } = Shells.parse(JSON.parse(await run.firstLine()));
      const kubeConfig = new KubeConfig();
      kubeConfig.loadFromFile(kubeconfig);
      const core = kubeConfig.makeApiClient(CoreV1Api);
      await createReadyPod(core, "default", toolsPod("left-behind"));
      const namespaces = await namespacesOf(run.folder);
      const processes = await processesIn(namespaces);
      // Containerd, its shim, kubelet, kube-proxy, and what runs in the pod.
      assert.ok(processes.length > 8, processes.join());
      const cgroups = await cgroupsOf(run.folder);
      assert.notDeepEqual(cgroups, []);
      assert.match(shells["node-0"] ?? "", /^nsenter --target=\d+ /);

      await run.end(signal);
      await assertNothingLeft(run.folder, namespaces, cgroups);
      await using second = await startRun(MAIN, "--nodes=1");
      await second.firstLine();
    });
  }

  it("by SIGKILL while it starts", async () => {
    await using run = await startRun(MAIN, "--nodes=2");
    let cgroups: readonly string[] = [];
    while (cgroups.length === 0) {
      await sleep(10);
      cgroups = await cgroupsOf(run.folder);
    }
    const namespaces = await namespacesOf(run.folder);
    assert.notEqual(namespaces.size, 0);
    await run.end("SIGKILL");
    await run.startNext();
    await assertNothingLeft(run.folder, namespaces, cgroups);
  });
});

async function assertNothingLeft(
  folder: string,
  namespaces: ReadonlySet<string>,
  cgroups: readonly string[],
): Promise<void> {
  assert.deepEqual(await remainsOf(folder), []);
  assert.deepEqual(await lasting(() => processesIn(namespaces)), []);
  assert.deepEqual(cgroups.filter(existsSync), []);
  assert.deepEqual(await mountsWith(folder), []);
  const ofKubelet = await mountsWith("kubelet");
  assert.deepEqual(
    ofKubelet.filter((mount) => !kubeletMountsBefore.includes(mount)),
    [],
  );
  const links = await readdir("/sys/class/net");
  assert.deepEqual(links.toSorted(), linksBefore);
}
