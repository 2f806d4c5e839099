import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { missingComponents } from "./components.ts";
import { startControlPlane } from "./control-plane.ts";

const skip = (await missingComponents(process.env)) ?? false;

describe("startControlPlane", { skip }, () => {
  it("is usable when it resolves, and leaves nothing when it is disposed of", async () => {
    let folder: string;
    {
      await using plane = await startControlPlane();
      folder = dirname(plane.kubeconfig);
      const { items } = await plane.admin.core.listNamespace();
      assert.ok(items.some(({ metadata }) => metadata?.name === "default"));
      const role = await plane.admin.rbac.readClusterRoleBinding({
        name: "system:service-account-issuer-discovery",
      });
      assert.deepEqual(
        role.subjects?.map(({ name }) => name),
        ["system:serviceaccounts"],
      );
    }
    await assert.rejects(access(folder), { code: "ENOENT" });
  });
});
