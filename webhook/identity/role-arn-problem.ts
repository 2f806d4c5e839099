import { parseRoleArn } from "../../lib/arn.ts";

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
  const bare = withoutQuotes(written);
  if (bare === written) return bareProblem(written);
  const problem = trimmed === written ? "has quotes in it" : "has white space around it";
  const wanted = parseRoleArn(bare) === undefined ? bareProblem(bare).wanted : bare;
  return { problem, wanted };
}

/** The text without the quotes and the white space around it. */
function withoutQuotes(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && AROUND.test(text.charAt(start))) start += 1;
  while (end > start && AROUND.test(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

const AROUND = /["'\s]/;

function bareProblem(text: string): RoleArnProblem {
  return text.includes(":") ? fieldProblem(text.split(":")) : nameProblem(text);
}

function nameProblem(name: string): RoleArnProblem {
  const wanted = roleArnOf("aws", "", name.replace(/^\/?(?:role\/)?/, ""));
  return { problem: wanted === ROLE_ARN_SHAPE ? "is no ARN" : "is a name", wanted };
}

function fieldProblem(fields: readonly string[]): RoleArnProblem {
  const [arn = "", partition = "", service = "", region = "", account = "", ...rest] = fields;
  const resource = rest.join(":");
  const [type = "", name = ""] = resource.split("/", 2);
  const role = (roleName: string): string => roleArnOf(partition, account, roleName);
  if (arn === "arn" && service === "sts" && type === "assumed-role") {
    return { problem: "is a session of a role", wanted: role(name) };
  }
  if (arn === "arn" && service === "iam" && !["role", ""].includes(type)) {
    const shown = /^[\x21-\x7e]{1,64}$/.test(type) ? `"${type}"` : "something else";
    return { problem: `is for ${shown}, no role`, wanted: role("") };
  }
  const wanted = role(resource.replace(/^role(?:\/|$)/, ""));
  if (arn === "arn" && service === "iam" && region !== "") {
    return { problem: "names a region, which no role has", wanted };
  }
  if (arn === "arn" && service === "iam" && !/^\d{12}$/.test(account)) {
    return { problem: "has no account of 12 digits", wanted };
  }
  return { problem: "is no role ARN", wanted };
}

/** The ARN of a role, with a word in place of each part that cannot be one. */
function roleArnOf(partition: string, account: string, name: string): string {
  const parts = [/^aws[a-z0-9-]{0,20}$/.test(partition) ? partition : "aws", "iam", ""];
  const isName = parseRoleArn(`arn:aws:iam::000000000000:role/${name}`) !== undefined;
  const id = /^\d{12}$/.test(account) ? account : "ACCOUNT";
  return ["arn", ...parts, id, `role/${isName ? name : "NAME"}`].join(":");
}
