/**
 * The UID of the pod whose process has this text in `/proc/<pid>/cgroup` (Linux, cgroups(7));
 * undefined for a process of no pod. kubelet names the folder of a pod `pod<uid>` with the driver
 * `cgroupfs` and `kubepods-…-pod<uid>.slice` with `systemd`, which has `_` for `-`, after the names of
 * the folders that it was given as its root (`--cgroup-root`, as kind does).
 *
 * Only the first folder of that form counts: what is below it was named by the pod itself.
 */
export function podUidOfCgroup(text: string): string | undefined {
  for (const line of text.split("\n")) {
    const path = line.split(":").slice(2).join(":");
    for (const folder of path.split("/")) {
      const [, uid] = POD_FOLDER.exec(folder) ?? [];
      if (uid !== undefined) return uid.replaceAll("_", "-");
    }
  }
  return undefined;
}

// Beside UUIDs there are the hashes that static pods have for a UID.
const POD_FOLDER =
  /^(?:(?:[^-]+-)*kubepods(?:-[a-z]+)?-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$/;
