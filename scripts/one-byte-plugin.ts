import type { Plugin } from "rolldown";
import { oneByteText } from "./one-byte-text.ts";

/** Writes each file of the bundle in characters of one byte, after all else was done to it. */
export function oneBytePlugin(): Plugin {
  return {
    name: "one-byte",
    generateBundle(_options, bundle) {
      for (const output of Object.values(bundle)) {
        if (output.type === "chunk") output.code = oneByteText(output.code);
      }
    },
  };
}
