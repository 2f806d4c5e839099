import type { ContainerFacts, PodFacts } from "./pod-facts.ts";

/** Whether the user of a container can read the file of its token. */
export interface TokenAccess {
  readonly access: "readable" | "unreadable" | "unknown";
  /** Owner and mode of the file as kubelet makes it and, where it matters, the user who reads. */
  readonly reason: string;
}

/**
 * Tells whether a container's user can read its projected token. kubelet makes the file
 *
 * - of the group `fsGroup`, which every container belongs to, mode 0640, where the pod has one
 * - of the user of all containers, mode 0600, where they declare the same `runAsUser`
 * - of root with the mode of the volume, 0644 by default, else
 *
 * (https://kubernetes.io/docs/concepts/storage/projected-volumes/#securitycontext-interactions and
 * its proposal, KEP-2451 "File Permission"; Windows enforces no ownership there.) Only the image
 * knows a user that no security context names.
 */
export function tokenAccessOf(
  {
    isWindows,
    fsGroup,
    containers,
  }: Pick<PodFacts, "isWindows" | "fsGroup"> & {
    readonly containers: readonly Pick<ContainerFacts, "runAsUser">[];
  },
  runAsUser: number | undefined,
  mode: number,
): TokenAccess {
  if (isWindows) return { access: "readable", reason: "Windows enforces no owner of its file" };
  if (fsGroup !== undefined) {
    return { access: "readable", reason: `fsGroup ${fsGroup} may read it, mode 0640` };
  }
  const [first, ...others] = containers.map((container) => container.runAsUser);
  if (first !== undefined && others.every((user) => user === first)) {
    return { access: "readable", reason: `user ${first} owns it, mode 0600` };
  }
  const owned = `root owns it, mode ${mode.toString(8).padStart(4, "0")}`;
  if ((mode & 0o004) !== 0) return { access: "readable", reason: owned };
  if (runAsUser === undefined) {
    return { access: "unknown", reason: `${owned}; only the image names the user` };
  }
  // Root reads everything.
  const access = runAsUser === 0 ? "readable" : "unreadable";
  return { access, reason: `${owned}; the user is ${runAsUser}` };
}
