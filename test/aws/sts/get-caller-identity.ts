import type { QueryAction } from "../protocol/query-action.ts";

/** The action GetCallerIdentity: for whoever holds valid credentials; it needs no permission. */
export const getCallerIdentity: QueryAction = {
  access: "signed",
  run: (_call, { principal }) => ({
    Arn: principal.arn,
    UserId: principal.userId,
    Account: principal.accountId,
  }),
};
