import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ProgramRunner } from "../program-runner.ts";
import { runCommand, type WrapCommand } from "../run-command.ts";
import { untilReady } from "../until-ready.ts";

/**
 * A "machine": Linux namespaces of its own (network, mounts, processes, host name) on this machine's
 * kernel and files, as a container has them. The kernel itself takes all of it down (processes,
 * mounts, links, firewall rules) when the machine's first process ends, and that ends with this process.
 */
export interface Machine {
  readonly name: string;
  /** The id of its first process, seen from outside. */
  readonly pid: number;
  /** The command line that runs another one in the machine's network only, with the files of outside. */
  readonly inNetwork: WrapCommand;
  /** The command line that runs another one in the machine. It has to tell paths, since it starts in `/`. */
  readonly inside: WrapCommand;
  /** Runs a command in the machine, and resolves with its stdout. @throws Error with its stderr. */
  readonly run: (...commandLine: readonly string[]) => Promise<string>;
}

// The folders that programs of a node write to, at their standard paths, are empty and in memory. What
// the kernel has only once, such as vm.overcommit_memory, kubelet would change for the whole machine:
// so it finds the values that it wants, in files of ours.
const BOOT = `
  set -e
  # Its own id as seen from outside, as long as /proc is that of outside.
  read -r pid rest </proc/self/stat
  mount --make-rshared /
  mount -t proc proc /proc
  for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
  mkdir -p /run/lock /run/netns /run/sysctl /var/lib/cni /var/lib/containerd /var/lib/kubelet
  while read -r path value; do
    echo "$value" >"/run/sysctl/\${path##*/}"
    mount --bind "/run/sysctl/\${path##*/}" "/proc/sys/$path"
  done <<END
    vm/overcommit_memory 1
    vm/panic_on_oom 0
    kernel/panic 10
    kernel/panic_on_oops 1
    kernel/keys/root_maxkeys 1000000
    kernel/keys/root_maxbytes 25000000
END
  echo "$1" >/proc/sys/kernel/hostname
  echo 1 >/proc/sys/net/ipv4/ip_forward
  if [ -d /proc/sys/net/ipv6 ]; then
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    # No address of IPv6 is there twice, so none has to be looked for a second before it works.
    echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
  fi
  ip link set lo up
  echo "$pid" >"$2"
  # As the first process it has to take in orphans, which a waiting shell does.
  sleep 2147483647 &
  wait
`;

/** Starts a machine without any link to another network. @throws AppError KUBERNETES_UNAVAILABLE */
export async function startMachine(programs: ProgramRunner, name: string): Promise<Machine> {
  const pidFile = join(programs.folder, `${name}.pid`);
  const unshared = ["--net", "--mount", "--pid", "--uts", "--ipc"];
  const first = ["/bin/sh", "-c", BOOT, "boot", name, pidFile];
  // Mounts of outside and inside know nothing of each other.
  const how = ["--propagation=private", "--fork", "--kill-child"];
  const supervised = await programs.start(name, ["unshare", ...unshared, ...how, ...first]);
  let pid = 0;
  await untilReady(supervised, async () => {
    pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
    return pid > 0;
  });
  const inNetwork = enter(["--net"]);
  const inside = enter(unshared);
  return {
    name,
    pid,
    inNetwork,
    inside,
    run: (...commandLine) => runCommand(inside(commandLine), programs),
  };

  function enter(namespaces: readonly string[]): WrapCommand {
    return (commandLine) => ["nsenter", `--target=${pid}`, ...namespaces, "--", ...commandLine];
  }
}
