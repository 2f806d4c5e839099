import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startContainer } from "./container.ts";
import type { UnpackedImage } from "./docker-archive.ts";

/** What a container of the image is seen to do, from outside. */
export interface MeasuredImage {
  /** What `--version` prints. */
  readonly version: string;
  /** From the start of the container to the end of `--version`, in milliseconds; the median. */
  readonly versionMs: number;
  /** Resident memory in bytes some seconds after the start, by command. */
  readonly idleBytes: Readonly<Record<string, number>>;
  /** Of a running container, from /proc. */
  readonly standing: Standing;
}

/** What the kernel says of a process. */
export interface Standing {
  readonly uid: number;
  /** Those it may ever have, as a hexadecimal mask. */
  readonly capabilities: string;
  readonly noNewPrivileges: boolean;
  readonly isRootReadOnly: boolean;
}

/** Commands that wait for somebody to ask them, in a network where nobody is. */
const IDLE: Readonly<Record<string, readonly string[]>> = {
  webhook: ["webhook", "--kube-api=http://127.0.0.1:9", "--port=8443", "--log-level=error"],
  issuer: ["issuer", "--kube-api=http://127.0.0.1:9", "--issuer=https://oidc.example.com"],
};
const VERSION_RUNS = 5;
const IDLE_MS = 5000;

/** @param folder For the files of the containers; it must exist. */
export async function measureImage(image: UnpackedImage, folder: string): Promise<MeasuredImage> {
  const times: number[] = [];
  let version = "";
  for (let run = 0; run < VERSION_RUNS; run += 1) {
    const startMs = performance.now();
    await using container = await startContainer(image, ["--version"], await own(`version-${run}`));
    const end = await container.ended;
    times.push(performance.now() - startMs);
    version = (await container.tail()).trim();
    if (end !== "exit status 0") throw new Error(`Cannot run --version: ${end}: ${version}`);
  }
  const idleBytes: Record<string, number> = {};
  let standing: Standing | undefined;
  for (const [name, args] of Object.entries(IDLE)) {
    await using container = await startContainer(image, args, await own(name));
    const end = await Promise.race([container.ended, sleep(IDLE_MS)]);
    if (end !== undefined) throw new Error(`Cannot run ${name}: ${end}: ${await container.tail()}`);
    const status = await readFile(`/proc/${container.pid}/status`, "utf8");
    idleBytes[name] = Number.parseInt(fieldOf(status, "VmRSS"), 10) * 1024;
    standing = await standingOf(container.pid);
  }
  if (standing === undefined) throw new Error("Expected a container that was looked at");
  const versionMs = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
  return { version, versionMs, idleBytes, standing };

  async function own(name: string): Promise<string> {
    const path = join(folder, name);
    await mkdir(path);
    return path;
  }
}

async function standingOf(pid: number): Promise<Standing> {
  const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, "utf8");
  return parseStanding({ status: await read("status"), mountInfo: await read("mountinfo") });
}

/** Reads what /proc/PID has of a process, as files `status` and `mountinfo` (proc(5)). */
export function parseStanding({
  status,
  mountInfo,
}: {
  readonly status: string;
  readonly mountInfo: string;
}): Standing {
  // The fifth field is where it is mounted, the sixth how.
  const [, options = ""] = /^(?:\S+ ){4}\/ (\S+)/m.exec(mountInfo) ?? [];
  return {
    uid: Number.parseInt(fieldOf(status, "Uid"), 10),
    capabilities: fieldOf(status, "CapBnd"),
    noNewPrivileges: fieldOf(status, "NoNewPrivs") === "1",
    isRootReadOnly: options.split(",").includes("ro"),
  };
}

function fieldOf(status: string, field: string): string {
  const value = new RegExp(`^${field}:\\s+(.*)$`, "m").exec(status)?.[1];
  if (value === undefined) throw new Error(`Expected ${field} in the status of a process`);
  return value;
}
