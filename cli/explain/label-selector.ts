import { z } from "zod";

/** A selector of labels (Kubernetes API, `meta/v1` LabelSelector). */
export const LabelSelector = z.looseObject({
  matchLabels: z.record(z.string(), z.string()).nullish(),
  matchExpressions: z
    .array(
      z.looseObject({
        key: z.string(),
        operator: z.string(),
        values: z.array(z.string()).nullish(),
      }),
    )
    .nullish(),
});
export type LabelSelector = z.infer<typeof LabelSelector>;

type Labels = Readonly<Record<string, string | null | undefined>>;

/**
 * Whether labels meet all that a selector asks; one that asks nothing, or is absent, takes all.
 * `NotIn` also takes an object without the label, as in Kubernetes.
 */
export function selects(selector: LabelSelector | null | undefined, labels: Labels): boolean {
  const { matchLabels, matchExpressions } = selector ?? {};
  return (
    Object.entries(matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
    (matchExpressions ?? []).every(({ key, operator, values }) => {
      const label = labels[key] ?? undefined;
      const listed = label !== undefined && (values ?? []).includes(label);
      if (operator === "In") return listed;
      if (operator === "NotIn") return !listed;
      return operator === "Exists" ? label !== undefined : label === undefined;
    })
  );
}
