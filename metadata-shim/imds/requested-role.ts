import type { AllowedRole } from "../role/role-decision.ts";

/**
 * Whether a name in a path is that of the pod's role: as it is listed, one that is as good, or its
 * whole ARN. Upper and lower case count, as in IAM's ARNs.
 */
export function isRequestedRole(
  name: string,
  { shownName, otherNames, roleArn }: Pick<AllowedRole, "shownName" | "otherNames" | "roleArn">,
): boolean {
  return name === shownName || name === roleArn || otherNames?.includes(name) === true;
}
