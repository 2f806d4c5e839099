import { parseCsvRecord } from "./csv-record.ts";
import type { Annotations, Container } from "./pod.ts";

/** Which containers of a pod its annotations mean. */
export interface ContainerSelection {
  readonly isSelected: (container: Pick<Container, "name" | "targetContainerName">) => boolean;
  /** A sentence for each annotation that is not used as it was written. */
  readonly warnings: readonly string[];
}

/**
 * Reads which containers and initContainers of a pod get anything, from its annotations
 * `include-containers` (only these) and `skip-containers` (none of these; it wins). Each is one CSV
 * record, names trimmed, first line only. A list that cannot be read selects all, as with AWS's
 * webhook, which has the second only. An ephemeral container counts as the one that it targets.
 */
export function containerSelection(pod: Annotations, annotationPrefix: string): ContainerSelection {
  const warnings: string[] = [];
  const included = namesIn(
    pod,
    `${annotationPrefix}/include-containers`,
    "keeps none out",
    warnings,
  );
  const skipped = namesIn(pod, `${annotationPrefix}/skip-containers`, "skips nothing", warnings);
  return {
    isSelected: ({ name, targetContainerName }) => {
      const counted = targetContainerName || (name ?? "");
      return included?.has(counted) !== false && skipped?.has(counted) !== true;
    },
    warnings,
  };
}

/** Undefined when the annotation is not there or cannot be read. */
function namesIn(
  pod: Annotations,
  key: string,
  otherwise: string,
  warnings: string[],
): ReadonlySet<string> | undefined {
  const written = pod[key];
  if (written === undefined || written === null) return undefined;
  const record = parseCsvRecord(written);
  if (record === undefined) {
    const wanted = "expected container names, comma-separated";
    warnings.push(`Pod annotation ${key} ${otherwise}: ${wanted}`);
    return undefined;
  }
  if (record.rest.trim() !== "") {
    warnings.push(`Pod annotation ${key} is read up to its first line only`);
  }
  return new Set(record.fields.filter((name) => name !== ""));
}
