import type { Plugin } from "rolldown";
import { asciiText } from "./ascii-text.ts";

/** Writes each file of the bundle in ASCII, after all else was done to it. */
export function asciiPlugin(): Plugin {
  return {
    name: "ascii",
    generateBundle(_options, bundle) {
      for (const output of Object.values(bundle)) {
        if (output.type === "chunk") output.code = asciiText(output.code);
      }
    },
  };
}
