import { execFile } from "node:child_process";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";

const Manifest = z.tuple([z.looseObject({ Config: z.string(), Layers: z.array(z.string()) })]);
const Configuration = z.looseObject({
  config: z.looseObject({
    User: z.string(),
    Env: z.array(z.string()),
    WorkingDir: z.string(),
    Entrypoint: z.array(z.string()),
    Labels: z.record(z.string(), z.string()),
  }),
});

/** An image as it was saved, unpacked. */
export interface UnpackedImage {
  /** Folder with the files of all layers. */
  readonly rootfs: string;
  /** Size of each layer in bytes, the lowest first. */
  readonly layerBytes: readonly number[];
  readonly user: string;
  /** `NAME=VALUE`. */
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly entrypoint: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Unpacks a docker-archive of layers that delete nothing, which are those of our Dockerfile.
 *
 * @param folder Where to; it must exist.
 */
export async function unpackImage(file: string, folder: string): Promise<UnpackedImage> {
  const archive = join(folder, "archive");
  const rootfs = join(folder, "rootfs");
  await mkdir(archive);
  await mkdir(rootfs);
  await untar(file, archive);
  const json = async (name: string): Promise<unknown> =>
    JSON.parse(await readFile(join(archive, name), "utf8"));
  const [{ Config, Layers }] = Manifest.parse(await json("manifest.json"));
  const layerBytes: number[] = [];
  for (const layer of Layers) {
    layerBytes.push((await stat(join(archive, layer))).size);
    await untar(join(archive, layer), rootfs);
  }
  const { config } = Configuration.parse(await json(Config));
  return {
    rootfs,
    layerBytes,
    user: config.User,
    env: config.Env,
    workingDir: config.WorkingDir,
    entrypoint: config.Entrypoint,
    labels: config.Labels,
  };
}

async function untar(file: string, folder: string): Promise<void> {
  await promisify(execFile)("tar", ["--extract", `--file=${file}`, `--directory=${folder}`]);
}
