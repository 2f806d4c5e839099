import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { hostname, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { processExists } from "./process-exists.ts";

const PREFIX = "irsa-kube-";
const OWNER_FILE = "owner";

/** A temporary folder that is gone at the latest when this process is. */
export interface Workspace extends AsyncDisposable {
  readonly path: string;
  /** The folder's name: that of the cgroups that go with it. */
  readonly name: string;
}

// Waits for the end of its standard input, which only the owner holds open, then removes the cgroups
// and the folder. More than one try, since a process that is just being killed is still in its cgroup,
// and may add a file. The folder last, and in it its owner: by these the next start knows what is left.
const KEEPER = `
  cat
  remove() {
    for cgroup in "/sys/fs/cgroup/$2" /sys/fs/cgroup/*/"$2"; do
      [ -d "$cgroup" ] || continue
      find "$cgroup" -depth -type d -exec rmdir {} \\;
      [ ! -d "$cgroup" ] || return 1
    done
    # Another start may be removing it too.
    [ -d "$1" ] || return 0
    find "$1" -mindepth 1 -maxdepth 1 ! -name ${OWNER_FILE} -exec rm -rf -- {} + || return 1
    rm -rf -- "$1"
  }
  for try in $(seq 50); do remove "$@" && exit; sleep 0.2; done
  exit 1
`;

/**
 * Makes a temporary folder, after removing those that ended runs have left behind. A helper process
 * removes it, and the cgroups of its name, when it is disposed of and also when this process is killed.
 */
export async function createWorkspace(parent = tmpdir()): Promise<Workspace> {
  await removeOrphans(parent);
  const path = await mkdtemp(join(parent, PREFIX));
  await writeFile(join(path, OWNER_FILE), `${hostname()} ${process.pid}`);
  const keeper = await startKeeper(path);
  keeper.unref();
  if (keeper.stdin instanceof Socket) keeper.stdin.unref();
  return {
    path,
    name: basename(path),
    async [Symbol.asyncDispose]() {
      // Somebody may have ended it.
      const able = keeper.signalCode === null ? keeper : await startKeeper(path);
      if (!(await letKeep(able)))
        throw new Error(`Cannot remove ${path}: the next start will try it again`);
    },
  };
}

async function startKeeper(path: string): Promise<ChildProcess> {
  const keeper = spawn("/bin/sh", ["-c", KEEPER, "keeper", path, basename(path)], {
    cwd: dirname(path),
    // A Ctrl-C at the terminal goes to the whole process group, and must not end the keeper.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  await once(keeper, "spawn");
  return keeper;
}

/** Has a keeper do its work, and tells whether all is removed. */
async function letKeep(keeper: ChildProcess): Promise<boolean> {
  if (keeper.exitCode === null && keeper.signalCode === null) {
    const exited = once(keeper, "exit");
    keeper.ref();
    keeper.stdin?.end();
    await exited;
  }
  return keeper.exitCode === 0;
}

/**
 * Removes the folders whose owner is gone. Those of a live process stay, and those of another host,
 * of which this one cannot tell (a shared folder of two containers).
 */
async function removeOrphans(parent: string): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(PREFIX));
  await Promise.all(
    names.map(async (name) => {
      const path = join(parent, name);
      const owner = await readFile(join(path, OWNER_FILE), "utf8").catch(() => "");
      const [host, pid] = owner.split(" ");
      if (host !== hostname() || processExists(Number(pid))) return;
      if (await letKeep(await startKeeper(path))) return;
      process.stderr.write(`Cannot remove ${path}, which a run that has ended left behind\n`);
    }),
  );
}
