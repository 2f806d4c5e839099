const SECONDS = 60;

/**
 * How long pods follow each other: `IRSA_CHURN_SECONDS`, else fewer seconds with `CI=true`, else a minute.
 */
export function churnSeconds(
  env: Readonly<Record<string, string | undefined>>,
  { ci }: { readonly ci: number },
): number {
  return Number(env["IRSA_CHURN_SECONDS"] || (env["CI"] === "true" ? ci : SECONDS));
}
