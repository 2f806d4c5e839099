/** Whether a process of this machine has this id. */
export function processExists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (err) {
    // EPERM: it exists, and belongs to another user.
    return !(err instanceof Error && "code" in err && err.code === "ESRCH");
  }
}
