import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, chmod, mkdtemp, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { findComponents, missingComponents } from "./components.ts";
import { startControlPlane } from "./control-plane.ts";
import { remainsOf } from "./remains.ts";

const skip = (await missingComponents(process.env)) ?? false;

describe("startControlPlane", { skip }, () => {
  it("runs several at once, which know nothing of each other, and leaves nothing", async () => {
    const folders: string[] = [];
    {
      const both = [startControlPlane(), startControlPlane({ auditLog: true })] as const;
      await using one = await both[0];
      await using two = await both[1];
      folders.push(dirname(one.kubeconfig), dirname(two.kubeconfig));
      await one.createServiceAccount("only-in-one", "reader");
      const { items } = await two.admin.core.listNamespace();
      const names = items.map(({ metadata }) => metadata?.name);
      assert.ok(names.includes("default") && !names.includes("only-in-one"), names.join());

      // Bootstrapped RBAC, without which no ServiceAccount could read the JWKS.
      const { subjects } = await two.admin.rbac.readClusterRoleBinding({
        name: "system:service-account-issuer-discovery",
      });
      assert.deepEqual(
        subjects?.map(({ name }) => name),
        ["system:serviceaccounts"],
      );

      const audit = await readFile(two.apiServers[0].auditFile, "utf8");
      assert.match(audit, /"requestURI":"\/api\/v1\/namespaces"/);
    }
    for (const folder of folders) assert.deepEqual(await remainsOf(folder), []);
  });

  it("runs kube-controller-manager and kube-scheduler when they are asked for", async () => {
    await using plane = await startControlPlane({ controllerManager: true, scheduler: true });
    const { core } = plane.admin;
    const where = { namespace: "default", name: "unschedulable" };
    await core.createNamespacedPod({
      namespace: "default",
      body: {
        metadata: { name: where.name },
        spec: { containers: [{ name: "app", image: "app" }] },
      },
    });
    let reason: string | undefined;
    while (reason === undefined) {
      const { status } = await core.readNamespacedPod(where);
      reason = status?.conditions?.find(({ type }) => type === "PodScheduled")?.reason;
    }
    assert.equal(reason, "Unschedulable");
    assert.deepEqual(Object.keys(await plane.logs()).toSorted(), [
      "etcd",
      "kube-apiserver-127.0.0.1",
      "kube-controller-manager",
      "kube-scheduler",
    ]);
  });

  it("names the component that does not start, with the end of its log, and leaves nothing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "irsa-failed-"));
    const env = { ...process.env, TMPDIR: folder };
    await assert.rejects(startControlPlane({ flags: ["--no-such-flag"], env }), {
      code: "KUBERNETES_UNAVAILABLE",
      message:
        /^Cannot start kube-apiserver-127\.0\.0\.1: it ended with exit status 1\n[^]*unknown flag: --no-such-flag/,
    });
    assert.deepEqual(await remainsOf(folder), []);
    await rmdir(folder);
  });

  it("uses the executables in KUBEBUILDER_ASSETS", async () => {
    const assets = await mkdtemp(join(tmpdir(), "irsa-assets-"));
    try {
      const commandOf = await findComponents([], { env: process.env, progress: () => {} });
      for (const name of ["etcd", "kube-apiserver", "kubectl"] as const) {
        const [program = "", ...first] = commandOf(name);
        const script = `#!/bin/sh\necho >>"${assets}/used-${name}"\nexec "${program}" ${first.join(" ")} "$@"\n`;
        await writeFile(join(assets, name), script);
        await chmod(join(assets, name), 0o755);
      }
      const env = { PATH: process.env["PATH"], KUBEBUILDER_ASSETS: assets };
      await using plane = await startControlPlane({ env });
      const [kubectl = "", ...first] = plane.commandOf("kubectl");
      const { stdout } = await promisify(execFile)(kubectl, [
        ...first,
        `--kubeconfig=${plane.kubeconfig}`,
        "get",
        "--raw=/readyz",
      ]);
      assert.equal(stdout, "ok");
      await Promise.all(
        ["etcd", "kube-apiserver", "kubectl"].map((name) => access(join(assets, `used-${name}`))),
      );
    } finally {
      await rm(assets, { recursive: true });
    }
  });
});
