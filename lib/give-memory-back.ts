/**
 * Collects what the start of a program has left, and gives the memory of it back to the machine: code
 * that only runs once, and all that was read to keep a little of it. Of itself Node does not, not even
 * when it is idle. It takes some hundred milliseconds, in which nothing else runs, so it is for when
 * nobody depends on the program yet.
 *
 * Needs Node's flag `--expose-gc`, with which the image starts it. Without it nothing happens.
 */
export function giveMemoryBack(): void {
  // "last-resort" is what V8 does before it gives up for want of memory: until nothing more goes.
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
