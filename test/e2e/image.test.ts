import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { z } from "zod";
import { buildahProblem } from "../../scripts/image/buildah.ts";
import { buildImage } from "../../scripts/image/build-image.ts";
import { runcProblem } from "../../scripts/image/container.ts";
import { unpackImage, type UnpackedImage } from "../../scripts/image/docker-archive.ts";
import { measureImage, type MeasuredImage } from "../../scripts/image/measure-image.ts";
import { createWorkspace, type Workspace } from "../kubernetes/workspace.ts";

// The image that ships, by its own Dockerfile, on a base that needs no registry; run as the manifests say.

const root = new URL("../../", import.meta.url);
const skip = (await buildahProblem()) ?? (await runcProblem()) ?? false;

let workspace: Workspace;
let image: UnpackedImage;
let measured: MeasuredImage;

before(async () => {
  if (skip !== false) return;
  workspace = await createWorkspace();
  const folder = async (name: string): Promise<string> => {
    await mkdir(join(workspace.path, name));
    return join(workspace.path, name);
  };
  const file = join(workspace.path, "image.tar");
  await buildImage({ folder: await folder("build"), file, base: "local" });
  image = await unpackImage(file, await folder("image"));
  measured = await measureImage(image, await folder("run"));
});
after(() => workspace?.[Symbol.asyncDispose]());

const app = (): string => join(image.rootfs, "app");

const Sbom = z.looseObject({
  metadata: z.looseObject({
    component: z.looseObject({
      components: z.array(z.looseObject({ name: z.string(), hashes: z.array(z.unknown()) })),
    }),
  }),
  components: z.array(z.looseObject({ name: z.string() })),
});

describe("the image", { skip }, () => {
  it("says what it is", async () => {
    const { version } = JSON.parse(await readFile(new URL("package.json", root), "utf8")) as {
      version: string;
    };
    assert.equal(image.labels["org.opencontainers.image.title"], "irsa-anywhere");
    assert.equal(image.labels["org.opencontainers.image.version"], version);
    assert.match(
      image.labels["org.opencontainers.image.revision"] ?? "",
      /^[0-9a-f]{40}$|^unknown$/,
    );
    assert.equal(measured.version, version);
  });

  it("adds one layer to its base: the bundle, its SBOM and the licence", async () => {
    assert.equal(image.layerBytes.length, 2);
    const names = await readdir(app());
    const others = names.filter((name) => !name.endsWith(".mjs"));
    assert.deepEqual(others.toSorted(), ["LICENSE", "irsa.cdx.json"]);
  });

  it("has an SBOM of exactly the files that are in it", async () => {
    const text = await readFile(join(app(), "irsa.cdx.json"), "utf8");
    const { metadata, components } = Sbom.parse(JSON.parse(text));
    const names = (await readdir(app())).filter((name) => name.endsWith(".mjs"));
    const listed = metadata.component.components;
    assert.deepEqual(listed.map(({ name }) => name).toSorted(), names.toSorted());
    for (const { name, hashes } of listed) {
      const found = createHash("sha256").update(await readFile(join(app(), name)));
      assert.deepEqual(hashes, [{ alg: "SHA-256", content: found.digest("hex") }], name);
    }
    const packages = new Set(components.map(({ name }) => name));
    for (const name of ["express", "pino", "zod"]) assert.ok(packages.has(name), name);
    for (const name of ["typescript", "oxlint"]) assert.ok(!packages.has(name), name);
  });

  it("runs with a read-only root, as nobody, without any capability", () => {
    assert.equal(image.user, "65532:65532");
    assert.deepEqual(measured.standing, {
      uid: 65_532,
      capabilities: "0000000000000000",
      noNewPrivileges: true,
      isRootReadOnly: true,
    });
  });

  it("keeps webhook and issuer running with nobody to talk to", () => {
    assert.deepEqual(Object.keys(measured.idleBytes), ["webhook", "issuer"]);
    for (const bytes of Object.values(measured.idleBytes)) assert.ok(bytes > 0);
  });
});
