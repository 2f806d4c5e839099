import { z } from "zod";
import { AwsError } from "../protocol/aws-error.ts";
import { isKnownOperator, type Condition } from "./condition.ts";

/** A role's trust policy: its text as given, and what it says. */
export interface TrustPolicy {
  readonly document: string;
  readonly statements: readonly Statement[];
}

export interface Statement {
  readonly effect: "Allow" | "Deny";
  /** ARNs of providers. */
  readonly federated: readonly string[];
  /** ARNs of users and roles, ARNs of accounts' roots, and account ids. */
  readonly aws: readonly string[];
  /** `Principal: "*"` or `{"AWS": "*"}`: everybody in a Deny, but nobody from a provider in an Allow. */
  readonly isForEverybody: boolean;
  readonly actions: readonly string[];
  readonly condition: Condition;
}

const texts = z
  .union([z.string(), z.array(z.string()).min(1)])
  .transform((value) => (typeof value === "string" ? [value] : value));
const conditionValues = z
  .union([
    z.string(),
    z.boolean(),
    z.number(),
    z.array(z.union([z.string(), z.boolean(), z.number()])),
  ])
  .transform((value) => (Array.isArray(value) ? value : [value]).map(String));
const RawStatement = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(["Allow", "Deny"]),
  Principal: z.union([
    z.literal("*"),
    z.strictObject({
      AWS: texts.optional(),
      Federated: texts.optional(),
      Service: texts.optional(),
      CanonicalUser: texts.optional(),
    }),
  ]),
  Action: texts,
  Condition: z.record(z.string(), z.record(z.string(), conditionValues)).default({}),
});
const RawPolicy = z.strictObject({
  Version: z.enum(["2012-10-17", "2008-10-17"]),
  Id: z.string().optional(),
  Statement: z
    .union([z.array(z.unknown()).min(1), z.record(z.string(), z.unknown())])
    .transform((value) => (Array.isArray(value) ? value : [value])),
});

/** IAM quotas: default size of a trust policy, in characters without white space. */
const MAX_CHARACTERS = 2048;

/**
 * Reads a trust policy as CreateRole and UpdateAssumeRolePolicy do.
 *
 * What this stand-in could not decide (operators, NotPrincipal, NotAction, policy variables) is
 * refused here, so that no role has a policy that means something else than on AWS.
 *
 * @throws AwsError MalformedPolicyDocument, LimitExceeded
 */
export function parseTrustPolicy(document: string): TrustPolicy {
  const policy = RawPolicy.safeParse(parseJson(document));
  if (!policy.success) throw malformed("Syntax errors in policy.", z.prettifyError(policy.error));
  if (document.replaceAll(/\s/g, "").length > MAX_CHARACTERS) {
    const message = `Cannot exceed quota for ACLSizePerRole: ${MAX_CHARACTERS}`;
    throw new AwsError("LimitExceeded", 409, message);
  }
  const sids = new Set<string>();
  const statements = policy.data.Statement.map((raw) => parseStatement(raw, sids));
  return { document, statements };
}

function parseStatement(raw: unknown, sids: Set<string>): Statement {
  const fields = z.record(z.string(), z.unknown()).safeParse(raw);
  if (!fields.success) throw malformed("Syntax errors in policy.");
  for (const name of ["Resource", "NotResource"]) {
    if (name in fields.data) throw malformed(`Has prohibited field ${name}`);
  }
  for (const name of ["NotPrincipal", "NotAction"]) {
    if (name in fields.data) throw malformed(`${name} is not known to this stand-in`);
  }
  for (const name of ["Principal", "Action", "Effect"]) {
    if (!(name in fields.data)) throw malformed(`Missing required field ${name}`);
  }
  const parsed = RawStatement.safeParse(raw);
  if (!parsed.success) throw malformed("Syntax errors in policy.", z.prettifyError(parsed.error));
  const { Sid = "", Effect, Principal, Action, Condition } = parsed.data;
  checkSid(Sid, sids);
  for (const action of Action) {
    if (!/^(\*|sts:.+)$/i.test(action)) {
      throw malformed("AssumeRole policy may only specify STS AssumeRole actions.");
    }
  }
  checkCondition(Condition);
  const { AWS = [], Federated = [] } = Principal === "*" ? { AWS: ["*"] } : Principal;
  if (Federated.some((principal) => principal.includes("*"))) {
    throw malformed("Invalid principal in policy: a Federated principal has no wildcard");
  }
  return {
    effect: Effect,
    federated: Federated,
    aws: AWS,
    isForEverybody: AWS.includes("*"),
    actions: Action,
    condition: new Map(
      Object.entries(Condition).map(([operator, keys]) => [
        operator,
        new Map(Object.entries(keys)),
      ]),
    ),
  };
}

function checkSid(sid: string, sids: Set<string>): void {
  if (sid === "") return;
  if (!/^[0-9A-Za-z]+$/.test(sid)) {
    throw malformed(
      "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
    );
  }
  if (sids.has(sid)) throw malformed("Statement IDs (SID) in a single policy must be unique.");
  sids.add(sid);
}

function checkCondition(condition: z.infer<typeof RawStatement>["Condition"]): void {
  for (const [operator, keys] of Object.entries(condition)) {
    if (!isKnownOperator(operator)) {
      throw malformed(`The condition operator "${operator}" is not known to this stand-in`);
    }
    for (const [key, values] of Object.entries(keys)) {
      if (values.some((value) => value.includes("${"))) {
        throw malformed(`The policy variable at "${key}" is not known to this stand-in`);
      }
    }
  }
}

function parseJson(document: string): unknown {
  try {
    return JSON.parse(document);
  } catch {
    throw malformed("This policy contains invalid Json");
  }
}

function malformed(message: string, detail?: string): AwsError {
  const options = detail === undefined ? {} : { detail };
  return new AwsError("MalformedPolicyDocument", 400, message, options);
}
