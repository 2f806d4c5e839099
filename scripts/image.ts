// Builds the image and tells what it is like: npm run image [-- --local-base] [-- --file image.tar]
//   --base IMAGE    another base than the Dockerfile's
//   --local-base    a base made of this machine's Node, without a registry
//   --tag TAG       localhost/irsa-anywhere:VERSION by default
//   --file FILE     where the image goes as a docker-archive; dist/image.tar by default
//   --iptables      the image for the rules of the metadata shim too, in dist/image-iptables.tar
import { mkdir, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { createWorkspace } from "../test/kubernetes/workspace.ts";
import { buildahProblem } from "./image/buildah.ts";
import { buildImage, iptablesImageOf } from "./image/build-image.ts";
import { runcProblem } from "./image/container.ts";
import { unpackImage } from "./image/docker-archive.ts";
import { measureImage } from "./image/measure-image.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      base: { type: "string" },
      "local-base": { type: "boolean", default: false },
      tag: { type: "string" },
      file: { type: "string", default: join(root, "dist/image.tar") },
      iptables: { type: "boolean", default: false },
    },
  });
  const problem = await buildahProblem();
  if (problem !== undefined) throw new Error(`Cannot build the image: ${problem}`);
  await using workspace = await createWorkspace();
  const file = resolve(values.file);
  await mkdir(dirname(file), { recursive: true });
  await rm(file, { force: true });
  const folder = await subfolder(workspace.path, "build");
  const base = values["local-base"] ? "local" : values.base;
  const iptablesFile = values.iptables ? file.replace(/(?:\.tar)?$/, "-iptables.tar") : undefined;
  if (iptablesFile !== undefined) await rm(iptablesFile, { force: true });
  const tag = await buildImage({ folder, file, base, tag: values.tag, iptablesFile });

  const image = await unpackImage(file, await subfolder(workspace.path, "image"));
  const { size } = await stat(file);
  print("image", `${tag} in ${file}`);
  if (iptablesFile !== undefined)
    print("with iptables", `${iptablesImageOf(tag)} in ${iptablesFile}`);
  print("size", `${megabytes(size)}, not compressed`);
  print("layers", image.layerBytes.map(megabytes).join(" + "));
  print("user", image.user);
  for (const [name, value] of Object.entries(image.labels)) print(name, value);

  const cannotRun = await runcProblem();
  if (cannotRun !== undefined) {
    print("not run", cannotRun);
    return;
  }
  const measured = await measureImage(image, await subfolder(workspace.path, "run"));
  const { standing } = measured;
  print("--version", `${measured.version} after ${Math.round(measured.versionMs)} ms`);
  for (const [name, bytes] of Object.entries(measured.idleBytes)) {
    print(`${name} idle`, megabytes(bytes));
  }
  print("ran as", `user ${standing.uid}, capabilities ${standing.capabilities}`);
  print("root", standing.isRootReadOnly ? "read-only" : "writable");
  print("new privileges", standing.noNewPrivileges ? "never" : "possible");
}

async function subfolder(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  return path;
}

function print(name: string, text: string): void {
  process.stdout.write(`${name.padEnd(16)} ${text}\n`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

await main();
