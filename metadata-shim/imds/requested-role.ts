import type { AllowedRole } from "../role/role-decision.ts";

/**
 * Whether a name in a path is that of the pod's role: as it is listed, or its whole ARN. Upper and
 * lower case count, as in IAM's names of paths.
 */
export function isRequestedRole(
  name: string,
  { shownName, roleArn }: Pick<AllowedRole, "shownName" | "roleArn">,
): boolean {
  return name === shownName || name === roleArn;
}
