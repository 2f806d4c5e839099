import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

/** What a pod saw. */
export interface PodNews {
  readonly pod: string;
  /** 0 when nobody answered. */
  readonly status: number;
  /** Of the credentials that it got. */
  readonly keyId?: string | undefined;
}

/**
 * Where pods live, one after the other: a network namespace on the node's bridge, and a process in it
 * that asks for credentials while a pod is there.
 */
export interface PodSlot extends AsyncDisposable {
  /** Of the process in it. */
  readonly pid: number;
  /** Gives it an address and lets the pod of that name ask. */
  start(pod: string, address: string, role: string): Promise<void>;
  /** Ends the pod: closes its connections, and takes the address away. */
  stop(address: string): Promise<void>;
}

/** The bridge that slots are on. */
export const POD_BRIDGE = "br0";

const MAIN = fileURLToPath(new URL("asking-pod-main.ts", import.meta.url));
const run = promisify(execFile);
const News = z.looseObject({
  namespace: z.string().optional(),
  stopped: z.boolean().optional(),
  pod: z.string().optional(),
  status: z.number().optional(),
  keyId: z.string().optional(),
});

/** Makes one, on {@link POD_BRIDGE} of the namespace of this process. */
export async function createPodSlot(
  name: string,
  {
    gateway,
    prefix,
    onNews,
  }: {
    readonly gateway: string;
    /** Length of the pods' network prefix. */
    readonly prefix: number;
    readonly onNews: (news: PodNews) => void;
  },
): Promise<PodSlot> {
  const program = ["--net", "--", process.execPath, MAIN];
  const child = spawn("unshare", program, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const pid = child.pid ?? 0;
  const ready = Promise.withResolvers<string>();
  let stopped = Promise.withResolvers<void>();
  createInterface(child.stdout).on("line", (line) => {
    const { namespace, stopped: isStopped, pod, status, keyId } = News.parse(JSON.parse(line));
    if (namespace !== undefined) ready.resolve(namespace);
    if (isStopped === true) stopped.resolve();
    if (pod !== undefined && status !== undefined) onNews({ pod, status, keyId });
  });
  void exited.then(() => ready.reject(new Error(`The process of ${name} ended`)));
  if ((await ready.promise) === readlinkSync("/proc/self/ns/net")) {
    child.kill();
    throw new Error(`${name} is in the namespace of the test`);
  }
  const inside = async (...args: readonly string[]): Promise<void> => {
    await run("nsenter", [`--net=/proc/${pid}/ns/net`, "ip", ...args]);
  };
  const link = `link add ${name} type veth peer name eth0 netns ${pid}`;
  await run("ip", link.split(" "));
  await run("ip", ["link", "set", name, "master", POD_BRIDGE, "up"]);
  await inside("link", "set", "eth0", "up");
  const tell = (command: object): void => {
    child.stdin.write(`${JSON.stringify(command)}\n`);
  };
  return {
    pid,
    async start(pod, address, role) {
      await inside("address", "add", `${address}/${prefix}`, "dev", "eth0");
      await inside("route", "replace", "default", "via", gateway);
      // So that the node asks who has the address, as after the start of a new link.
      await inside("neigh", "flush", "dev", "eth0");
      tell({ start: pod, role });
    },
    async stop(address) {
      stopped = Promise.withResolvers();
      tell({ stop: true });
      await stopped.promise;
      await inside("address", "del", `${address}/${prefix}`, "dev", "eth0");
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
    },
  };
}
