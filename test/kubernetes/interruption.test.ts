// However the process that started a control plane ends, nothing is left of it.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";
import { z } from "zod";
import { missingComponents } from "./components.ts";
import { cgroupsOf, namespacesOf, processesIn } from "./kernel-traces.ts";
import { missingNodeParts } from "./nodes/missing-node-parts.ts";
import { lasting, processesWith, remainsOf } from "./remains.ts";
import { createReadyPod, toolsPod } from "./running-pod.ts";
import { createWorkspace } from "./workspace.ts";

const skip = (await missingComponents(process.env)) ?? false;
const skipNodes = (await missingNodeParts(process.env)) ?? false;
const linksBefore = skipNodes === false ? (await readdir("/sys/class/net")).toSorted() : [];
const Shells = z.object({ kubeconfig: z.string(), shells: z.record(z.string(), z.string()) });
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

describe("a control plane whose starter ends", { skip }, () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    it(`by ${signal} when it runs`, async () => {
      await using run = await startRun("--controller-manager=false", "--scheduler=false");
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
      await using run = await startRun("--controller-manager=false", "--scheduler=false");
      while (
        !(await processesWith(`${run.folder}/irsa-kube-`)).some((line) => line.includes(" etcd "))
      ) {
        await sleep(10);
      }
      await run.end(signal);
      await startNext(run.folder);
      assert.deepEqual(await remainsOf(run.folder), []);
    });
  }
});

describe("a cluster whose starter ends", { skip: skipNodes }, () => {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    it(`by ${signal} when a pod runs, and then a second one in its place`, async () => {
      await using run = await startRun("--nodes=1");
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
      await using second = await startRun("--nodes=1");
      await second.firstLine();
    });
  }

  it("by SIGKILL while it starts", async () => {
    await using run = await startRun("--nodes=2");
    let cgroups: readonly string[] = [];
    while (cgroups.length === 0) {
      await sleep(10);
      cgroups = await cgroupsOf(run.folder);
    }
    const namespaces = await namespacesOf(run.folder);
    assert.notEqual(namespaces.size, 0);
    await run.end("SIGKILL");
    await startNext(run.folder);
    await assertNothingLeft(run.folder, namespaces, cgroups);
  });
});

/** The next start removes what one that was killed had no time to put under watch. */
async function startNext(folder: string): Promise<void> {
  await (await createWorkspace(folder))[Symbol.asyncDispose]();
}

async function assertNothingLeft(
  folder: string,
  namespaces: ReadonlySet<string>,
  cgroups: readonly string[],
): Promise<void> {
  assert.deepEqual(await remainsOf(folder), []);
  assert.deepEqual(await lasting(() => processesIn(namespaces)), []);
  assert.deepEqual(cgroups.filter(existsSync), []);
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  assert.doesNotMatch(mounts, /irsa-kube-|kubelet/);
  const links = await readdir("/sys/class/net");
  assert.deepEqual(links.toSorted(), linksBefore);
}

interface Run extends AsyncDisposable {
  /** Its folder for temporary files. */
  readonly folder: string;
  /** The first line on its stdout. */
  firstLine(): Promise<string>;
  /** Sends a signal, and resolves when the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

async function startRun(...flags: readonly string[]): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-run-"));
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...flags], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  return {
    folder,
    async firstLine() {
      assert.ok(child.stdout);
      const line = once(createInterface(child.stdout), "line");
      const [first] = await Promise.race([line, exited]);
      assert.ok(typeof first === "string", "the run ended before it was ready");
      return first;
    },
    async end(signal) {
      child.kill(signal);
      await exited;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      await remainsOf(folder);
      await rmdir(folder);
    },
  };
}
