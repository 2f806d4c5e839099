import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { describe, it } from "node:test";

// A module that does I/O, reads the environment or registers anything when imported breaks tests
// elsewhere in ways that are hard to see. The process entries are the exception. This also puts files
// that no other test loads into the coverage report.
const root = new URL("../", import.meta.url);
const ENTRIES = new Set([
  "cli/main.ts",
  "test/aws/main.ts",
  "test/bench/bare-main.ts",
  "test/bench/calibration-main.ts",
  "test/bench/load-main.ts",
  "test/bench/main.ts",
  "test/bench/pods-main.ts",
  "test/bench/shim-main.ts",
  "test/kubernetes/main.ts",
  "test/kubernetes/nodes/socket-agent-main.ts",
  "scripts/image.ts",
  "scripts/manifests.ts",
  "test/network/agent-main.ts",
  "test/shim/asking-pod-main.ts",
  "scripts/test.ts",
]);

describe("every module imports without effect", () => {
  const files = globSync("{cli,lib,metadata-shim,oidc-issuer,scripts,test,webhook}/**/*.ts", {
    cwd: root,
  }).filter(
    (file) => !file.endsWith(".test.ts") && !ENTRIES.has(file) && !file.includes("/clients/"),
  );

  for (const file of files) {
    it(file, async () => {
      const before = { env: { ...process.env }, resources: openResources() };
      await import(new URL(file, root).href);
      assert.deepEqual({ env: { ...process.env }, resources: openResources() }, before);
    });
  }
});

/** Timers, sockets, watchers and servers that keep the process alive; its own stdio apart. */
function openResources(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => name !== "PipeWrap" && name !== "TTYWrap" && name !== "FSReqPromise")
    .toSorted();
}
