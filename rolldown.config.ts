import { defineConfig } from "rolldown";
import { asciiPlugin } from "./scripts/ascii-plugin.ts";
import { sbomPlugin } from "./scripts/sbom-plugin.ts";

const scriptFile = (name: string): string => new URL(`scripts/${name}`, import.meta.url).pathname;
const HTTP_ALONE = scriptFile("http-alone.ts");

/**
 * What ships: a folder that runs without the repository around it. A file of its own for what only
 * some commands load, since a program's text stays in memory as long as it runs.
 */
export default defineConfig({
  input: { irsa: "cli/main.ts" },
  platform: "node",
  // Only in a checkout, where it can build Kubernetes; it would bring the whole Kubernetes client along.
  external: /\/test\/kubernetes\//,
  resolve: {
    alias: {
      // 1.2 MB for the typed calls of the Kubernetes client, of which the programs make none.
      undici: scriptFile("no-undici.ts"),
      // The undici in Node itself, which takes several MB once it is loaded.
      http: HTTP_ALONE,
      "node:http": HTTP_ALONE,
    },
  },
  treeshake: {
    // They do nothing when they are imported, and do not say so: all their API classes would stay.
    moduleSideEffects: [
      { test: /\/(@kubernetes\/client-node|@aws-sdk|@smithy)\//, sideEffects: false },
    ],
  },
  // The SBOM has the hashes of what the other one has written.
  plugins: [asciiPlugin(), sbomPlugin("irsa.cdx.json")],
  output: {
    format: "esm",
    dir: "dist",
    cleanDir: true,
    entryFileNames: "[name].mjs",
    chunkFileNames: "[name].mjs",
    // Names stay, for those who read a stack trace.
    minify: { compress: true, mangle: false, codegen: true },
  },
});
