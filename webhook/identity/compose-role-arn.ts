/** The account that role names without an ARN belong to. */
export interface RoleAccount {
  readonly accountId: string;
  readonly partition: string;
}

/**
 * The ARN of a role given by its name, with its path or without: `reader`, `team/reader`.
 *
 * A leading `/` or `role/` is what people copy along from an ARN or a path: it is dropped, since
 * taken literally it names a role that hardly ever exists (`role/role/reader`).
 *
 * @returns the ARN, and whether something was dropped.
 */
export function composeRoleArn(
  name: string,
  { accountId, partition }: RoleAccount,
): { readonly roleArn: string; readonly corrected: boolean } {
  const bare = name.replace(/^\/?(?:role\/)?/, "");
  return { roleArn: `arn:${partition}:iam::${accountId}:role/${bare}`, corrected: bare !== name };
}
