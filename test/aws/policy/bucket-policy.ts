import { z } from "zod";
import { AwsError } from "../protocol/aws-error.ts";
import { isKnownOperator, isSatisfied, wildcard, type ConditionKeys } from "./condition.ts";

/** A bucket's policy: its text as given, and what it says to everybody. */
export interface BucketPolicy {
  readonly document: string;
  readonly statements: readonly Statement[];
}

type Statement = z.infer<typeof Statement>;

const texts = z
  .union([z.string(), z.array(z.string()).min(1)])
  .transform((value) => (typeof value === "string" ? [value] : value));
const conditionValues = z
  .union([z.string(), z.boolean(), z.array(z.union([z.string(), z.boolean()]))])
  .transform((value) => (Array.isArray(value) ? value : [value]).map(String));
const Statement = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(["Allow", "Deny"]),
  Principal: z.union([z.literal("*"), z.record(z.string(), texts)]),
  Action: texts,
  Resource: texts,
  Condition: z.record(z.string(), z.record(z.string(), conditionValues)).default({}),
});
const Policy = z.strictObject({
  Version: z.enum(["2012-10-17", "2008-10-17"]).optional(),
  Id: z.string().optional(),
  Statement: z
    .union([z.array(Statement).min(1), Statement])
    .transform((value) => (Array.isArray(value) ? value : [value])),
});

/**
 * Reads the policy of a bucket. What could not be decided here is refused.
 *
 * @throws AwsError MalformedPolicy
 */
export function parseBucketPolicy(document: string, bucket: string): BucketPolicy {
  let json: unknown;
  try {
    json = JSON.parse(document);
  } catch {
    throw malformed("Policies must be valid JSON and the first byte must be '{'");
  }
  const parsed = Policy.safeParse(json);
  if (!parsed.success) throw malformed(z.prettifyError(parsed.error));
  const statements = parsed.data.Statement;
  for (const { Resource, Condition } of statements) {
    const own = new RegExp(`^arn:aws[a-z-]*:s3:::${bucket.replaceAll(".", "\\.")}(/.*)?$`, "s");
    if (!Resource.every((arn) => own.test(arn))) throw malformed("Policy has invalid resource");
    const unknown = Object.keys(Condition).find((operator) => !isKnownOperator(operator));
    if (unknown !== undefined) {
      throw malformed(`The condition operator "${unknown}" is not known to this stand-in`);
    }
  }
  return { document, statements };
}

/** Whether a policy gives anything to everybody, which a public access block can forbid. */
export function isPublic({ statements }: BucketPolicy): boolean {
  return statements.some((statement) => statement.Effect === "Allow" && isForEverybody(statement));
}

/** What everybody can be told of a request: all come over TLS. */
const KEYS: ConditionKeys = new Map([["aws:securetransport", ["true"]]]);

/** Whether a policy lets everybody, signed or not, do this. */
export function allowsEverybody(
  { statements }: BucketPolicy,
  action: string,
  resource: string,
): boolean {
  const applying = statements.filter(
    (statement) =>
      isForEverybody(statement) &&
      statement.Action.some((pattern) => wildcard(pattern, "isu").test(action)) &&
      statement.Resource.some((pattern) => wildcard(pattern, "su").test(resource)) &&
      isSatisfied(conditionOf(statement), KEYS),
  );
  return applying.length > 0 && applying.every(({ Effect }) => Effect === "Allow");
}

function isForEverybody({ Principal }: Statement): boolean {
  return Principal === "*" || (Principal["AWS"]?.includes("*") ?? false);
}

function conditionOf({ Condition }: Statement) {
  return new Map(
    Object.entries(Condition).map(([operator, keys]) => [operator, new Map(Object.entries(keys))]),
  );
}

function malformed(message: string): AwsError {
  return new AwsError("MalformedPolicy", 400, message);
}
