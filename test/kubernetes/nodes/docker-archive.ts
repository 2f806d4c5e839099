import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What a container of the image runs (github.com/opencontainers/image-spec/blob/main/config.md). */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

/**
 * Makes an image from a folder: a docker-archive with one layer, the tar file that `docker save` writes
 * and `ctr images import` reads. Everything in it belongs to root, and is the same for the same files.
 *
 * @param tarFile Where it goes. Its folder also takes the parts for a moment.
 * @param reference With a registry's name, as containerd wants it: `localhost/tools:test`.
 */
export async function createDockerArchive(
  tarFile: string,
  {
    rootfs,
    reference,
    config,
  }: { readonly rootfs: string; readonly reference: string; readonly config: ImageConfig },
): Promise<void> {
  const parts = await mkdtemp(`${tarFile}-`);
  try {
    const layer = join(parts, "layer.tar");
    await tar(layer, rootfs);
    const hash = createHash("sha256");
    await pipeline(createReadStream(layer), hash);
    const image = {
      architecture: { x64: "amd64" }[process.arch as string] ?? process.arch,
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: [`sha256:${hash.digest("hex")}`] },
      history: [{ created_by: "docker-archive.ts" }],
    };
    const manifest = [{ Config: "config.json", RepoTags: [reference], Layers: ["layer.tar"] }];
    await writeFile(join(parts, "config.json"), JSON.stringify(image));
    await writeFile(join(parts, "manifest.json"), JSON.stringify(manifest));
    await tar(tarFile, parts);
  } finally {
    await rm(parts, { recursive: true });
  }
}

async function tar(file: string, folder: string): Promise<void> {
  const sameEachTime = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  await run("tar", ["--create", `--file=${file}`, `--directory=${folder}`, ...sameEachTime, "."]);
}
