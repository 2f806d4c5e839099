import { structuredPatch } from "diff";
import { stringify } from "yaml";
import type { Colors } from "./narrator.ts";

const CONTEXT_LINES = 2;

/** The difference between two Kubernetes objects as coloured lines of YAML. */
export function podDiff(before: object, after: object, colors: Colors): readonly string[] {
  const [left, right] = [before, after].map((object) => stringify(object, { lineWidth: 0 }));
  const { hunks } = structuredPatch("", "", left ?? "", right ?? "", "", "", {
    context: CONTEXT_LINES,
  });
  return hunks.flatMap(({ lines }, i) => [
    ...(i === 0 ? [] : [colors.dim("  ⋮")]),
    ...lines.map((line) => paint(line, colors)),
  ]);
}

function paint(line: string, colors: Colors): string {
  if (line.startsWith("+")) return colors.green(line);
  return line.startsWith("-") ? colors.red(line) : colors.dim(line);
}
