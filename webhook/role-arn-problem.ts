import { parseRoleArn } from "../lib/arn.ts";

/** Why a text is no role ARN, and what to write instead. */
export interface RoleArnProblem {
  /** Goes on from the quoted text: `is empty`, `has white space around it`. */
  readonly problem: string;
  /** What to write: the right ARN as far as it can be told from the wrong one. */
  readonly wanted: string;
}

export const ROLE_ARN_SHAPE = "arn:aws:iam::ACCOUNT:role/NAME";

/** Says what is wrong with the text of a role ARN; undefined when nothing is. */
export function roleArnProblem(written: string): RoleArnProblem | undefined {
  if (parseRoleArn(written) !== undefined) return undefined;
  const trimmed = written.trim();
  if (trimmed === "") return { problem: "is empty", wanted: ROLE_ARN_SHAPE };
  if (trimmed !== written) {
    const wanted = roleArnProblem(trimmed)?.wanted ?? trimmed;
    return { problem: "has white space around it", wanted };
  }
  const unquoted = /^(["'])(.*)\1$/.exec(written)?.[2];
  if (unquoted !== undefined) {
    const wanted = roleArnProblem(unquoted)?.wanted ?? unquoted;
    return { problem: "has quotes in it", wanted };
  }
  if (!written.includes(":")) return nameProblem(written);
  return fieldProblem(written.split(":"));
}

function nameProblem(name: string): RoleArnProblem {
  const bare = name.replace(/^\/?(?:role\/)?/, "");
  const isName = /^[\w+=,.@/-]+$/.test(bare);
  return isName
    ? { problem: "is a name", wanted: `arn:aws:iam::ACCOUNT:role/${bare}` }
    : { problem: "is no ARN", wanted: ROLE_ARN_SHAPE };
}

function fieldProblem(fields: readonly string[]): RoleArnProblem {
  const [arn = "", partition = "", service = "", region = "", account = "", ...rest] = fields;
  const resource = rest.join(":");
  const [type = "", name = ""] = resource.split("/");
  const isAccount = /^\d{12}$/.test(account);
  const role = (roleName: string): string =>
    `arn:${/^aws[a-z0-9-]*$/.test(partition) ? partition : "aws"}:iam::` +
    `${isAccount ? account : "ACCOUNT"}:role/${roleName}`;
  if (arn === "arn" && service === "sts" && type === "assumed-role") {
    return { problem: "is a session of a role", wanted: role(name || "NAME") };
  }
  if (arn === "arn" && service === "iam" && !["role", ""].includes(type)) {
    return { problem: `is for "${type}", no role`, wanted: role("NAME") };
  }
  const corrected = role(resource.replace(/^role\//, ""));
  const wanted = parseRoleArn(corrected) === undefined ? role("NAME") : corrected;
  if (arn === "arn" && service === "iam" && region !== "") {
    return { problem: "names a region, which no role has", wanted };
  }
  if (arn === "arn" && service === "iam" && !isAccount) {
    return { problem: "has no account of 12 digits", wanted: role(name || "NAME") };
  }
  return { problem: "is no role ARN", wanted };
}
