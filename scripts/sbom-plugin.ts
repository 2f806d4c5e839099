import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Plugin } from "rolldown";
import { sbomOf } from "./sbom.ts";

const LOCKFILE = new URL("../package-lock.json", import.meta.url);

/** Writes the SBOM of the bundle beside it. */
export function sbomPlugin(fileName: string): Plugin {
  return {
    name: "sbom",
    async generateBundle(_options, bundle) {
      const modules = new Set<string>();
      const files: Record<string, string> = {};
      for (const output of Object.values(bundle)) {
        if (output.type !== "chunk") continue;
        files[output.fileName] = createHash("sha256").update(output.code).digest("hex");
        for (const [id, { renderedLength }] of Object.entries(output.modules)) {
          // Of a module that nothing uses there is no code.
          if (renderedLength > 0) modules.add(id);
        }
      }
      const lockfile: unknown = JSON.parse(await readFile(LOCKFILE, "utf8"));
      const sbom = sbomOf({ lockfile, modules: [...modules], files });
      const source = `${JSON.stringify(sbom, undefined, 2)}\n`;
      this.emitFile({ type: "asset", fileName, source });
    },
  };
}
