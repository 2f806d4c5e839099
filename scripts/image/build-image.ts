import { execFile } from "node:child_process";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { buildBundle } from "../../test/bench/bundle.ts";
import { createBuildah, type Buildah } from "./buildah.ts";
import { writeIptablesBase } from "./iptables-base.ts";
import { writeLocalBase } from "./local-base.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Beside the bundle, what a build of the image takes. */
const CONTEXT_FILES = ["Dockerfile", ".dockerignore", "LICENSE"];
/** The tag of the base `local` in the store of buildah. */
export const LOCAL_BASE = "localhost/irsa-base:local";
const IPTABLES_BASE = "localhost/irsa-base-iptables:local";
const ROOT = "0:0";

/**
 * Bundles the program, and builds the image of it by the Dockerfile.
 *
 * @returns the tag it has in the file.
 */
export async function buildImage({
  folder,
  file: imageFile,
  base,
  tag,
  iptablesFile,
}: {
  /** For the store of buildah and what else it takes; the caller removes it. */
  readonly folder: string;
  /** Where the image goes, as a docker-archive. */
  readonly file: string;
  /** `local` for one of this machine's Node, without a registry; the Dockerfile's own when absent. */
  readonly base?: string | undefined;
  /** `localhost/irsa-anywhere:VERSION` when absent. */
  readonly tag?: string | undefined;
  /** Where the image with iptables goes, see {@link iptablesImageOf}; it is not built when absent. */
  readonly iptablesFile?: string | undefined;
}): Promise<string> {
  const version = await packageVersion();
  const name = tag ?? `localhost/irsa-anywhere:${version}`;
  const buildah = createBuildah(folder);
  // Apart from dist/, which others may be building at the same time.
  const context = join(folder, "context");
  await mkdir(context);
  await buildBundle(context);
  for (const file of CONTEXT_FILES) await copyFile(join(root, file), join(context, file));
  const buildArgs = { VERSION: version, REVISION: await revision() };
  if (base === "local") {
    const baseContext = join(folder, "base");
    await mkdir(baseContext);
    await writeLocalBase(baseContext);
    await buildah.build(baseContext, { tag: LOCAL_BASE, pull: false });
    const local = { ...buildArgs, BASE: LOCAL_BASE };
    await buildah.build(context, { tag: name, buildArgs: local, pull: false });
  } else {
    const args = base === undefined ? buildArgs : { ...buildArgs, BASE: base };
    await buildah.build(context, { tag: name, buildArgs: args, pull: true });
  }
  await buildah.save(name, imageFile);
  if (iptablesFile !== undefined) {
    await buildIptablesBase(buildah, { folder, base });
    const withIptables = { ...buildArgs, BASE: IPTABLES_BASE, RUN_AS: ROOT };
    const other = iptablesImageOf(name);
    await buildah.build(context, { tag: other, buildArgs: withIptables, pull: false });
    await buildah.save(other, iptablesFile);
  }
  return name;
}

/** The name of the image on a base with iptables: `localhost/irsa-anywhere-iptables:VERSION`. */
export function iptablesImageOf(image: string): string {
  return image.replace(/(?=:[^:/]+$)|$/, "-iptables");
}

/** After the image without it, whose base `local` it takes. */
async function buildIptablesBase(
  buildah: Buildah,
  { folder, base }: { readonly folder: string; readonly base: string | undefined },
): Promise<void> {
  const context = join(folder, "base-iptables");
  await mkdir(context);
  if (base === "local") {
    await writeIptablesBase(context, LOCAL_BASE);
    await buildah.build(context, { tag: IPTABLES_BASE, pull: false });
    return;
  }
  await copyFile(join(root, "Dockerfile.iptables"), join(context, "Dockerfile"));
  const buildArgs = base === undefined ? {} : { NODE: base };
  await buildah.build(context, { tag: IPTABLES_BASE, buildArgs, pull: true });
}

async function packageVersion(): Promise<string> {
  const text = await readFile(join(root, "package.json"), "utf8");
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

/** The commit that is checked out; `unknown` outside of a repository. */
async function revision(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("git", ["rev-parse", "HEAD"], { cwd: root });
    return stdout.trim();
  } catch {
    return "unknown";
  }
}
