import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { createDockerArchive } from "./docker-archive.ts";

const skip = process.platform === "linux" ? false : "Only GNU tar makes the same file each time";
const run = promisify(execFile);

describe("createDockerArchive", { skip }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "irsa-archive-"));
    await mkdir(join(folder, "rootfs"));
    await writeFile(join(folder, "rootfs", "hello"), "world\n", { mode: 0o755 });
  });
  after(() => rm(folder, { recursive: true }));

  const create = async (name: string): Promise<string> => {
    const tarFile = join(folder, name);
    await createDockerArchive(tarFile, {
      rootfs: join(folder, "rootfs"),
      reference: "localhost/hello:test",
      config: { Entrypoint: ["/hello"], User: "65532" },
    });
    return tarFile;
  };

  it("makes an image of the folder's files, which belong to root", async () => {
    const tarFile = await create("image.tar");
    const parts = join(folder, "parts");
    await mkdir(parts);
    await run("tar", ["-xf", tarFile, "-C", parts]);
    const json = async (name: string): Promise<unknown> =>
      JSON.parse(await readFile(join(parts, name), "utf8"));
    assert.deepEqual(await json("manifest.json"), [
      { Config: "config.json", RepoTags: ["localhost/hello:test"], Layers: ["layer.tar"] },
    ]);
    const layer = join(parts, "layer.tar");
    const digest = createHash("sha256")
      .update(await readFile(layer))
      .digest("hex");
    const config = await json("config.json");
    assert.ok(config instanceof Object && "config" in config && "rootfs" in config);
    assert.deepEqual(config.config, { Entrypoint: ["/hello"], User: "65532" });
    assert.deepEqual(config.rootfs, { type: "layers", diff_ids: [`sha256:${digest}`] });
    const { stdout } = await run("tar", ["-tvf", layer, "--numeric-owner", "--utc"]);
    assert.match(stdout, /^-rwxr-xr-x 0\/0 +6 1970-01-01 .* \.\/hello$/m);
  });

  it("makes the same of the same files, whenever they were written", async () => {
    const first = await readFile(await create("first.tar"));
    await utimes(join(folder, "rootfs", "hello"), 1, 1);
    assert.ok(first.equals(await readFile(await create("second.tar"))));
  });
});
