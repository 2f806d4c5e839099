import { parseTrustPolicy } from "../policy/trust-policy.ts";
import type { Caller, QueryAction, QueryActions, QueryCall } from "../protocol/query-action.ts";
import { listParameter, type QueryParameters } from "../protocol/query-parameters.ts";
import { integer, optionalText, readParameters, text } from "../protocol/validation.ts";
import type { XmlFields } from "../protocol/xml.ts";
import type { Account, Role } from "../store.ts";
import { newUniqueId } from "../unique-ids.ts";
import {
  deleteConflict,
  entityAlreadyExists,
  noSuchEntity,
  quotaExceeded,
} from "./entity-errors.ts";
import { pageOf } from "./paging.ts";
import { assertPolicyExists } from "./policies.ts";
import { tagsXml, withoutTags, withTags } from "./tags.ts";

const ROLE_NAME = { RoleName: text({ min: 1, max: 64, pattern: "[\\w+=,.@-]+" }) };
const PATH = { min: 1, max: 512, pattern: "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)" };
const DOCUMENT = text({ min: 1, max: 131_072 });
const DESCRIPTION = optionalText({ min: 0, max: 1000 });
const BOUNDARY = { min: 20, max: 2048 };
const MAX_SESSION = integer({ min: 3600, max: 43_200, fallback: 3600 });
const CREATE = {
  ...ROLE_NAME,
  Path: optionalText(PATH),
  AssumeRolePolicyDocument: DOCUMENT,
  Description: DESCRIPTION,
  MaxSessionDuration: MAX_SESSION,
  PermissionsBoundary: optionalText(BOUNDARY),
};
const UPDATE_TRUST = { ...ROLE_NAME, PolicyDocument: DOCUMENT };
const PUT_BOUNDARY = { ...ROLE_NAME, PermissionsBoundary: text(BOUNDARY) };
const LIST = { PathPrefix: optionalText({ min: 1, max: 512 }) };

const MAX_ROLES = 1000;
const TAGS_QUOTA = "TagsPerRole";

/** The actions of IAM for roles, but for their permission policies. */
export const roleActions: QueryActions = {
  CreateRole: { access: "administrator", run: createRole },
  GetRole: readingRole((role) => ({ Role: roleXml(role) })),
  ListRoles: {
    access: "administrator",
    run({ parameters }, { account }) {
      const { PathPrefix = "/" } = readParameters(parameters, LIST);
      const items = [...account.roles.values()]
        .filter(({ path }) => path.startsWith(PathPrefix))
        .toSorted((a, b) => a.name.localeCompare(b.name));
      return pageOf(parameters, "Roles", { items, render: listedRoleXml });
    },
  },
  UpdateAssumeRolePolicy: changingRole((_role, parameters) => ({
    trustPolicy: parseTrustPolicy(readParameters(parameters, UPDATE_TRUST).PolicyDocument),
  })),
  UpdateRole: {
    access: "administrator",
    run(call, caller) {
      changeRole(call, caller, (role) => {
        const { Description, MaxSessionDuration } = readParameters(call.parameters, {
          Description: DESCRIPTION,
          MaxSessionDuration: integer({ min: 3600, max: 43_200, fallback: role.maxSessionSeconds }),
        });
        return {
          description: Description ?? role.description,
          maxSessionSeconds: MaxSessionDuration,
        };
      });
      // IAM answers this one with an empty result.
      return {};
    },
  },
  DeleteRole: {
    access: "administrator",
    run({ parameters }, { account }) {
      const role = findRole(account, parameters);
      if (role.attachedPolicies.length > 0) {
        throw deleteConflict("Cannot delete entity, must detach all policies first.");
      }
      if (role.inlinePolicies.size > 0) {
        throw deleteConflict("Cannot delete entity, must delete policies first.");
      }
      account.roles.delete(role.name.toLowerCase());
      return undefined;
    },
  },
  PutRolePermissionsBoundary: changingRole((_role, parameters, account) => {
    const { PermissionsBoundary } = readParameters(parameters, PUT_BOUNDARY);
    assertPolicyExists(account, PermissionsBoundary);
    return { permissionsBoundary: PermissionsBoundary };
  }),
  DeleteRolePermissionsBoundary: changingRole(() => ({ permissionsBoundary: undefined })),
  TagRole: changingRole(({ tags }, parameters) => ({
    tags: withTags(tags, parameters, TAGS_QUOTA),
  })),
  UntagRole: changingRole(({ tags }, parameters) => ({
    tags: withoutTags(tags, listParameter(parameters, "TagKeys") ?? []),
  })),
  ListRoleTags: readingRole(({ tags }, parameters) =>
    pageOf(parameters, "Tags", { items: [...tags], render: ([Key, Value]) => ({ Key, Value }) }),
  ),
};

function createRole({ parameters, nowMs }: QueryCall, { account }: Caller): XmlFields {
  const fields = readParameters(parameters, CREATE);
  const trustPolicy = parseTrustPolicy(fields.AssumeRolePolicyDocument);
  const name = fields.RoleName;
  const path = fields.Path ?? "/";
  if (account.roles.has(name.toLowerCase())) {
    throw entityAlreadyExists(`Role with name ${name} already exists.`);
  }
  if (account.roles.size >= MAX_ROLES) throw quotaExceeded("RolesPerAccount", MAX_ROLES);
  if (fields.PermissionsBoundary !== undefined) {
    assertPolicyExists(account, fields.PermissionsBoundary);
  }
  const role: Role = {
    arn: `arn:${account.partition}:iam::${account.id}:role${path}${name}`,
    id: newUniqueId("AROA"),
    name,
    path,
    trustPolicy,
    description: fields.Description,
    maxSessionSeconds: fields.MaxSessionDuration,
    permissionsBoundary: fields.PermissionsBoundary,
    tags: withTags(new Map(), parameters, TAGS_QUOTA),
    createdAtMs: nowMs,
    inlinePolicies: new Map(),
    attachedPolicies: [],
  };
  account.roles.set(name.toLowerCase(), role);
  return { Role: roleXml(role) };
}

/** The role that a call names. @throws AwsError NoSuchEntity, ValidationError */
export function findRole(account: Account, parameters: QueryParameters): Role {
  const { RoleName } = readParameters(parameters, ROLE_NAME);
  const role = account.roles.get(RoleName.toLowerCase());
  if (role !== undefined) return role;
  throw noSuchEntity(`The role with name ${RoleName} cannot be found.`);
}

type RoleChange = (role: Role, parameters: QueryParameters, account: Account) => Partial<Role>;

/** An action that changes the role it names and answers nothing. */
export function changingRole(change: RoleChange): QueryAction {
  return {
    access: "administrator",
    run(call, caller) {
      changeRole(call, caller, change);
      return undefined;
    },
  };
}

function changeRole({ parameters }: QueryCall, { account }: Caller, change: RoleChange): void {
  const role = findRole(account, parameters);
  account.roles.set(role.name.toLowerCase(), { ...role, ...change(role, parameters, account) });
}

/** An action that tells something of the role it names. */
export function readingRole(
  answer: (role: Role, parameters: QueryParameters) => XmlFields,
): QueryAction {
  return {
    access: "administrator",
    run: ({ parameters }, { account }) => answer(findRole(account, parameters), parameters),
  };
}

function roleXml(role: Role): XmlFields {
  return {
    ...listedRoleXml(role),
    PermissionsBoundary:
      role.permissionsBoundary === undefined
        ? undefined
        : {
            PermissionsBoundaryType: "Policy",
            PermissionsBoundaryArn: role.permissionsBoundary,
          },
    Tags: role.tags.size === 0 ? undefined : tagsXml(role.tags),
  };
}

// ListRoles leaves tags and the boundary out (IAM API reference).
function listedRoleXml(role: Role): XmlFields {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: new Date(role.createdAtMs).toISOString(),
    // IAM gives policy documents percent-encoded.
    AssumeRolePolicyDocument: encodeURIComponent(role.trustPolicy.document),
    Description: role.description,
    MaxSessionDuration: role.maxSessionSeconds,
  };
}
