import type { PodSpec } from "./pod.ts";

const OS_KEYS: readonly string[] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

/**
 * Whether a pod can only run on Windows: by `spec.os`, its node selector, or a required node affinity
 * each of whose terms (one of which must match) asks for Windows.
 */
export function isWindows({ nodeSelector, os, affinity }: PodSpec): boolean {
  if (os?.name === "windows") return true;
  if (OS_KEYS.some((key) => nodeSelector?.[key] === "windows")) return true;
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const terms = required?.nodeSelectorTerms ?? [];
  return (
    terms.length > 0 &&
    terms.every(({ matchExpressions }) =>
      matchExpressions?.some(
        ({ key, operator, values }) =>
          OS_KEYS.includes(key ?? "") &&
          operator === "In" &&
          values?.length === 1 &&
          values[0] === "windows",
      ),
    )
  );
}
