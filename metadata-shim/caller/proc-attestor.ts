import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FreshFlight } from "../../lib/fresh-flight.ts";
import type { Attestation, Attestor } from "./attestor.ts";
import { podUidOfCgroup } from "./pod-of-cgroup.ts";
import { readProcFile } from "./proc-file.ts";
import { hasSocket, type Flow } from "./socket-table.ts";

/** As many files of `/proc` are read at once: Node's pool has four threads. */
const READS_AT_ONCE = 16;

interface PodProcess {
  readonly pid: string;
  /** Clock ticks since the machine started. */
  readonly startedAt: number;
}

/**
 * Asks the kernel: each process shows the TCP sockets of its network namespace in
 * `/proc/<pid>/net/tcp`, and its cgroup tells its pod. It needs to see the processes of the node
 * (`hostPID: true`) and no other right.
 *
 * @param procFolder `/proc`, or where it is mounted.
 */
export function createProcAttestor(procFolder: string): Attestor {
  const scans = new FreshFlight<void>();
  const tables = new FreshFlight<Buffer | undefined>();
  const looks = new FreshFlight<string | undefined>();
  /** Of each pod, the process that started first: its sandbox, which has the pod's own namespace. */
  let processes: ReadonlyMap<string, PodProcess> = new Map();

  async function scan(): Promise<void> {
    const found = new Map<string, PodProcess>();
    const pids = (await readdir(procFolder)).filter((name) => /^\d+$/.test(name));
    await forEachAtOnce(pids, READS_AT_ONCE, async (pid) => {
      const uid = await podOf(pid);
      if (uid === undefined) return;
      const startedAt = startOf(await textOf(pid, "stat"));
      const first = found.get(uid);
      if (first === undefined || startedAt < first.startedAt) found.set(uid, { pid, startedAt });
    });
    processes = found;
  }

  function fileOf(pid: string, name: string): string {
    return join(procFolder, pid, name);
  }

  /** Empty when the process is gone. */
  async function textOf(pid: string, name: string): Promise<string> {
    return String((await readProcFile(fileOf(pid, name))) ?? "");
  }

  async function podOf(pid: string): Promise<string | undefined> {
    return podUidOfCgroup(await textOf(pid, "cgroup"));
  }

  /** Undefined when the process is no longer one of the pod. */
  async function owns(podUid: string, pid: string, flow: Flow): Promise<boolean | undefined> {
    const names = flow.localAddress.includes(":") ? ["net/tcp6"] : ["net/tcp", "net/tcp6"];
    let owned = false;
    for (const name of names) {
      if (owned) break;
      const file = fileOf(pid, name);
      const sockets = await tables.run(file, () => readProcFile(file));
      owned = sockets !== undefined && hasSocket(sockets, flow);
    }
    // After the tables: a number may have gone to another process meanwhile.
    return (await podOf(pid)) === podUid ? owned : undefined;
  }

  async function judge(podUid: string, flow: Flow): Promise<boolean | undefined> {
    const process = processes.get(podUid);
    return process === undefined ? undefined : owns(podUid, process.pid, flow);
  }

  async function isOfAnother(podUid: string, flow: Flow): Promise<boolean> {
    const others = [...processes].filter(([uid]) => uid !== podUid);
    let found = false;
    await forEachAtOnce(others, READS_AT_ONCE, async ([uid, { pid }]) => {
      // Each table that is read costs some milliseconds.
      if (!found && (await owns(uid, pid, flow)) === true) found = true;
    });
    return found;
  }

  return {
    async attest(podUid, flow): Promise<Attestation> {
      let owned = await judge(podUid, flow);
      if (owned === undefined) {
        await scans.run("scan", scan);
        owned = await judge(podUid, flow);
      }
      if (owned !== undefined) return owned ? "owned" : "foreign";
      return (await isOfAnother(podUid, flow)) ? "foreign" : "unseen";
    },
    async isThere(podUid) {
      const pid = processes.get(podUid)?.pid;
      return pid !== undefined && (await looks.run(pid, () => podOf(pid))) === podUid;
    },
  };
}

async function forEachAtOnce<T>(
  items: readonly T[],
  atOnce: number,
  visit: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const lane = async (): Promise<void> => {
    for (const item of rest) await visit(item);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

/** Field 22 of proc_pid_stat(5); the name in field 2 may have spaces and brackets. */
function startOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[19] ?? Number.POSITIVE_INFINITY);
}
