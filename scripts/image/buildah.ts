import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { startSupervised } from "../../test/kubernetes/supervised-process.ts";

/** buildah (buildah.io) with a store of its own: no daemon, and nothing is shared with other users. */
export interface Buildah {
  /** Builds the Dockerfile of a folder. */
  build(
    context: string,
    options: {
      readonly tag: string;
      readonly buildArgs?: Readonly<Record<string, string>>;
      /** Whether a base that is not in the store may be fetched. */
      readonly pull: boolean;
    },
  ): Promise<void>;
  /** Writes an image as a file that `ctr images import` and `docker load` take. */
  save(tag: string, file: string): Promise<void>;
}

/** Why buildah cannot be used here, in one line; undefined when it can. */
export async function buildahProblem(): Promise<string | undefined> {
  try {
    await promisify(execFile)("buildah", ["--version"]);
    return undefined;
  } catch {
    return "buildah builds the image, and this machine has none (Debian, Ubuntu: apt-get install buildah)";
  }
}

/**
 * buildah ends at the latest when this process does, and has mounted nothing.
 *
 * @param folder For its store and its log; it must exist.
 */
export function createBuildah(folder: string): Buildah {
  const store = ["--root", join(folder, "storage"), "--runroot", join(folder, "run")];
  // It copies layers where others mount them, which a build that is killed would leave mounted.
  const command = ["buildah", "--storage-driver=vfs", ...store];
  // Works without user namespaces.
  const env = { ...process.env, BUILDAH_ISOLATION: "chroot", TMPDIR: folder };
  const logFile = join(folder, "buildah.log");
  const run = async (...args: readonly string[]): Promise<void> => {
    const options = { name: "buildah", cwd: folder, env, logFile };
    const buildah = await startSupervised({ ...options, command: [...command, ...args] });
    const end = await buildah.wait();
    if (end === "exit status 0") return;
    throw new Error(`buildah ${args.join(" ")}: ${end}\n${await buildah.tail()}`);
  };
  return {
    async build(context, { tag, buildArgs = {}, pull }) {
      const args = Object.entries(buildArgs).map(([name, value]) => `--build-arg=${name}=${value}`);
      const pulling = pull ? "--pull" : "--pull-never";
      await run("bud", "--format=docker", pulling, ...args, `--tag=${tag}`, context);
    },
    save: (tag, file) => run("push", tag, `docker-archive:${file}:${tag}`),
  };
}
