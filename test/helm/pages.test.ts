import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findComponents, missingComponents } from "../kubernetes/components.ts";
import { createWorkspace, type Workspace } from "../kubernetes/workspace.ts";
import { pageBlocks } from "../page-blocks.ts";
import { findHelm, missingHelm, type Helm } from "./helm-program.ts";
import { agentOf, NAMESPACE, objectsIn, podOf, type KubernetesObject } from "./rendered-chart.ts";

// What the pages have users type, as far as it goes to Helm or into an overlay.

const skip = (await missingHelm(process.env)) ?? (await missingComponents(process.env)) ?? false;
const root = fileURLToPath(new URL("../../", import.meta.url));
const pages = (await readdir(join(root, "docs"))).filter((name) => name.endsWith(".md"));

let helm: Helm;
let workspace: Workspace;
before(async () => {
  if (skip !== false) return;
  helm = await findHelm(process.env);
  workspace = await createWorkspace();
});
after(() => workspace?.[Symbol.asyncDispose]());

/** What the pages leave to the user. */
const VARIABLES: Readonly<Record<string, string>> = {
  $ISSUER: "https://oidc.example.com",
  $AWS_REGION: "eu-central-1",
};

describe("the commands of Helm in the pages", { skip }, () => {
  for (const page of pages) {
    it(`name values that there are in ${page}`, async () => {
      let inForce: readonly string[] = [];
      for (const block of await pageBlocks(page, "bash")) {
        for (const command of block.replaceAll("\\\n", " ").split("\n")) {
          const [, verb, text] = /^helm (install|upgrade(?: --install)?) (.*)$/.exec(command) ?? [];
          if (verb === undefined || text === undefined) continue;
          const words = text
            .split(/\s+/)
            .filter((word) => word !== "")
            .map((word) =>
              Object.entries(VARIABLES).reduce(
                (all, [name, value]) => all.replace(name, value),
                word,
              ),
            )
            // As the shell reads it.
            .map((word) => word.replaceAll("\\\\", "\\"));
          const values = words.filter((word, i) => word === "--set" || words[i - 1] === "--set");
          const reused = words.includes("--reset-then-reuse-values") ? inForce : [];
          inForce = [...reused, ...values];
          const where = ["irsa-anywhere", "manifests/chart", "--namespace", NAMESPACE];
          assert.deepEqual(words.slice(0, 4), where, command);
          const args = [where[0] ?? "", join(root, "manifests/chart"), ...where.slice(2)];
          const { stdout } = await helm(["template", ...args, ...inForce]);
          assert.ok(objectsIn(stdout).length > 0, command);
        }
      }
    });
  }
});

describe("the overlays in docs/install.md", { skip }, () => {
  for (const [deployment, variable, image] of [
    ["irsa-webhook", "IRSA_AWS_DEFAULT_REGION", "registry.example.com/irsa-anywhere:0.1.0"],
    ["irsa-issuer", "IRSA_ISSUER", "localhost/irsa-anywhere:0.1.0"],
  ] as const) {
    it(`set what they say of ${deployment}`, async () => {
      const { overlay, objects } = await overlayOf(deployment);
      const { container, env } = podOf(objects, deployment);
      assert.match(overlay, new RegExp(`name: ${variable}, value: "?${env[variable]}`));
      assert.equal(container.image, image);
    });
  }

  it("set what they say of irsa-shim", async () => {
    const { overlay, objects } = await overlayOf("irsa-shim");
    const { env } = agentOf(objects).container("shim");
    assert.match(overlay, new RegExp(`name: IRSA_REGION, value: ${env["IRSA_REGION"]} `));
    assert.equal(env["NODE_NAME"], "node-1", "what it had before is there");
  });
});

/** The overlay of the page that names a workload, and what kustomize makes of it. */
async function overlayOf(
  name: string,
): Promise<{ readonly overlay: string; readonly objects: readonly KubernetesObject[] }> {
  const blocks = await pageBlocks("install.md", "yaml");
  const overlay = blocks.find((block) => block.includes(`name: ${name}`));
  assert.ok(overlay);
  const folder = join(workspace.path, name);
  await mkdir(join(folder, "mine"), { recursive: true });
  await symlink(root, join(folder, "irsa-anywhere"));
  await writeFile(join(folder, "mine/kustomization.yaml"), overlay);
  const commandOf = await findComponents(["kubectl"], { env: process.env, progress: () => {} });
  const [program = "", ...args] = commandOf("kubectl");
  const build = [...args, "kustomize", join(folder, "mine")];
  const { stdout } = await promisify(execFile)(program, build);
  return { overlay, objects: objectsIn(stdout) };
}
