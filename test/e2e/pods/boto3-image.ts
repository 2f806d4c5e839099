import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { copyInto, librariesOf } from "../../../scripts/image/local-base.ts";
import { createDockerArchive } from "../../kubernetes/nodes/docker-archive.ts";
import { ensurePythonEnvironment } from "../python-environment.ts";
import type { AwsPlace } from "./client-image.ts";

/** Python with boto3, which says who it is; no configuration but where this AWS is. */
export const BOTO3_IMAGE = "localhost/boto3:test";

/** In its folder /client; the first is what it runs. */
const SCRIPTS = ["boto3_client.py", "boto3_repeat.py", "take_address.py"] as const;
const run = promisify(execFile);
const Interpreter = z.object({
  executable: z.string(),
  standardLibrary: z.string(),
  extensions: z.array(z.string()),
});
const DESCRIBE = `
import glob, json, sys, sysconfig
library = sysconfig.get_path("stdlib")
print(json.dumps({
    "executable": sys._base_executable,
    "standardLibrary": library,
    "extensions": glob.glob(library + "/lib-dynload/*.so"),
}))`;
/** Parts of an installation that no client needs. */
const LEFT_OUT = new Set([
  "__pycache__",
  "dist-packages",
  "ensurepip",
  "idlelib",
  "pip",
  "setuptools",
  "site-packages",
  "test",
]);

function isLeftOut(name: string): boolean {
  // A static library, for those who embed Python.
  return LEFT_OUT.has(name) || name.startsWith("config-");
}

/**
 * Makes {@link BOTO3_IMAGE} as a docker-archive: this machine's Python and the pinned boto3, at the
 * paths that they have on this machine.
 *
 * @param folder For its files for a while; it must exist.
 */
export async function createBoto3Image({
  folder,
  file,
  aws,
}: {
  readonly folder: string;
  readonly file: string;
  readonly aws: AwsPlace;
}): Promise<void> {
  const rootfs = join(folder, "boto3");
  const python = await ensurePythonEnvironment();
  const { stdout } = await run(python, ["-c", DESCRIBE]);
  const { executable, standardLibrary, extensions } = Interpreter.parse(JSON.parse(stdout));
  await copyInto(rootfs, executable, executable);
  for (const library of await librariesOf(executable, ...extensions)) {
    await copyInto(rootfs, library, library);
  }
  await copyFolder(rootfs, standardLibrary);
  const environment = dirname(dirname(python));
  const packages = join(environment, "lib", basename(standardLibrary), "site-packages");
  await copyFolder(rootfs, packages);

  const client = join(rootfs, "client");
  await mkdir(client);
  for (const script of SCRIPTS) {
    const source = fileURLToPath(new URL(`../clients/${script}`, import.meta.url));
    await copyFile(source, join(client, script));
  }
  await writeFile(join(client, "aws.pem"), aws.caPem);
  await createDockerArchive(file, {
    rootfs,
    reference: BOTO3_IMAGE,
    config: {
      Entrypoint: [executable],
      Cmd: [`/client/${SCRIPTS[0]}`],
      Env: [
        `AWS_ENDPOINT_URL_STS=${aws.stsUrl}`,
        "AWS_CA_BUNDLE=/client/aws.pem",
        `PYTHONPATH=${packages}`,
      ],
    },
  });
  await rm(rootfs, { recursive: true });
}

async function copyFolder(rootfs: string, path: string): Promise<void> {
  await cp(path, join(rootfs, path), {
    recursive: true,
    dereference: true,
    filter: (source) => source === path || !isLeftOut(basename(source)),
  });
}
