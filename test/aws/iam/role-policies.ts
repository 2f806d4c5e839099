import { AwsError } from "../protocol/aws-error.ts";
import type { QueryActions } from "../protocol/query-action.ts";
import { optionalText, readParameters, text } from "../protocol/validation.ts";
import { noSuchEntity, quotaExceeded } from "./entity-errors.ts";
import { pageOf } from "./paging.ts";
import { assertPolicyDocument, assertPolicyExists } from "./policies.ts";
import { changingRole, readingRole } from "./roles.ts";

const POLICY_NAME = { PolicyName: text({ min: 1, max: 128, pattern: "[\\w+=,.@-]+" }) };
const PUT = { ...POLICY_NAME, PolicyDocument: text({ min: 1, max: 131_072 }) };
const POLICY_ARN = { PolicyArn: text({ min: 20, max: 2048 }) };
const LIST = { PathPrefix: optionalText({ min: 1, max: 512 }) };

/** Quotas of IAM: managed policies on a role by default, and characters of all its inline policies. */
const MAX_ATTACHED = 10;
const MAX_INLINE_CHARACTERS = 10_240;

/** The actions of IAM for the permission policies of a role. They are kept, never evaluated. */
export const rolePolicyActions: QueryActions = {
  PutRolePolicy: changingRole(({ name, inlinePolicies }, parameters) => {
    const { PolicyName, PolicyDocument } = readParameters(parameters, PUT);
    assertPolicyDocument(PolicyDocument);
    const next = new Map(inlinePolicies).set(PolicyName, PolicyDocument);
    // Without white space, as the quota counts.
    const characters = [...next.values()].join("").replaceAll(/\s/g, "").length;
    if (characters > MAX_INLINE_CHARACTERS) {
      const message = `Maximum policy size of ${MAX_INLINE_CHARACTERS} bytes exceeded for role ${name}`;
      throw new AwsError("LimitExceeded", 409, message);
    }
    return { inlinePolicies: next };
  }),
  GetRolePolicy: readingRole(({ name, inlinePolicies }, parameters) => {
    const { PolicyName } = readParameters(parameters, POLICY_NAME);
    const document = inlinePolicies.get(PolicyName);
    if (document === undefined) throw noInlinePolicy(PolicyName);
    return { RoleName: name, PolicyName, PolicyDocument: encodeURIComponent(document) };
  }),
  ListRolePolicies: readingRole(({ inlinePolicies }, parameters) =>
    pageOf(parameters, "PolicyNames", {
      items: [...inlinePolicies.keys()].toSorted(),
      render: (name) => name,
    }),
  ),
  DeleteRolePolicy: changingRole(({ inlinePolicies }, parameters) => {
    const { PolicyName } = readParameters(parameters, POLICY_NAME);
    const next = new Map(inlinePolicies);
    if (!next.delete(PolicyName)) throw noInlinePolicy(PolicyName);
    return { inlinePolicies: next };
  }),
  AttachRolePolicy: changingRole(({ attachedPolicies }, parameters, account) => {
    const { PolicyArn } = readParameters(parameters, POLICY_ARN);
    assertPolicyExists(account, PolicyArn);
    const next = [...new Set([...attachedPolicies, PolicyArn])];
    if (next.length > MAX_ATTACHED) throw quotaExceeded("PoliciesPerRole", MAX_ATTACHED);
    return { attachedPolicies: next };
  }),
  DetachRolePolicy: changingRole(({ attachedPolicies }, parameters) => {
    const { PolicyArn } = readParameters(parameters, POLICY_ARN);
    if (!attachedPolicies.includes(PolicyArn)) {
      throw noSuchEntity(`Policy ${PolicyArn} was not found.`);
    }
    return { attachedPolicies: attachedPolicies.filter((arn) => arn !== PolicyArn) };
  }),
  ListAttachedRolePolicies: readingRole(({ attachedPolicies }, parameters) => {
    const { PathPrefix = "/" } = readParameters(parameters, LIST);
    return pageOf(parameters, "AttachedPolicies", {
      items: attachedPolicies.filter((arn) => pathOf(arn).startsWith(PathPrefix)),
      render: (arn) => ({ PolicyName: arn.slice(arn.lastIndexOf("/") + 1), PolicyArn: arn }),
    });
  }),
};

function pathOf(policyArn: string): string {
  return policyArn.slice(policyArn.indexOf("/"), policyArn.lastIndexOf("/") + 1);
}

function noInlinePolicy(name: string): AwsError {
  return noSuchEntity(`The role policy with name ${name} cannot be found.`);
}
