import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  AttachRolePolicyCommand,
  CreatePolicyCommand,
  CreateRoleCommand,
  DeletePolicyCommand,
  DeleteRoleCommand,
  DeleteRolePermissionsBoundaryCommand,
  DeleteRolePolicyCommand,
  DetachRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  ListRoleTagsCommand,
  paginateListRoles,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  TagRoleCommand,
  UntagRoleCommand,
  UpdateAssumeRolePolicyCommand,
  UpdateRoleCommand,
  type CreateRoleCommandInput,
} from "@aws-sdk/client-iam";
import { wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { startAws } from "./start-aws.ts";

const aws = await startAws();
after(() => aws[Symbol.asyncDispose]());
const iam = iamClient(aws);
const TRUST = JSON.stringify({
  Version: "2012-10-17",
  Statement: [
    {
      Effect: "Allow",
      Principal: { Federated: "arn:aws:iam::111122223333:oidc-provider/issuer.example" },
      Action: "sts:AssumeRoleWithWebIdentity",
    },
  ],
});
const POLICY = JSON.stringify({ Version: "2012-10-17", Statement: [] });
const READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess";

async function create(RoleName: string, input: Partial<CreateRoleCommandInput> = {}) {
  const answer = await iam.send(
    new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: TRUST, ...input }),
  );
  assert.ok(answer.Role !== undefined);
  return answer.Role;
}

async function createPolicy(PolicyName: string): Promise<string> {
  const { Policy } = await iam.send(
    new CreatePolicyCommand({ PolicyName, PolicyDocument: POLICY }),
  );
  return Policy?.Arn ?? "";
}

/** A permission policy of so many characters. */
function policyOf(characters: number): string {
  const bare = JSON.stringify({ Id: "", Statement: [] });
  return JSON.stringify({ Id: "x".repeat(characters - bare.length), Statement: [] });
}

async function assertError(call: Promise<unknown>, code: string, status: number): Promise<void> {
  const error = await wireErrorOf(call);
  assert.deepEqual([error.code, error.status], [code, status], error.message);
}

describe("roles", () => {
  it("are created and read back", async () => {
    const boundary = await createPolicy("boundary");
    const role = await create("reader", {
      Path: "/irsa/prod/",
      Description: 'reads <all> & "more"',
      MaxSessionDuration: 43_200,
      PermissionsBoundary: boundary,
      Tags: [{ Key: "irsa/cluster", Value: "prod" }],
    });
    assert.equal(role.Arn, "arn:aws:iam::111122223333:role/irsa/prod/reader");
    assert.match(role.RoleId ?? "", /^AROA[A-Z2-7]{17}$/);
    const { Role } = await iam.send(new GetRoleCommand({ RoleName: "READER" }));
    assert.deepEqual(Role, role);
    assert.equal(decodeURIComponent(role.AssumeRolePolicyDocument ?? ""), TRUST);
    assert.deepEqual(
      [role.Description, role.MaxSessionDuration, role.PermissionsBoundary, role.Tags],
      [
        'reads <all> & "more"',
        43_200,
        { PermissionsBoundaryType: "Policy", PermissionsBoundaryArn: boundary },
        [{ Key: "irsa/cluster", Value: "prod" }],
      ],
    );
  });

  it("have the defaults of IAM", async () => {
    const role = await create("plain");
    assert.deepEqual([role.Path, role.MaxSessionDuration], ["/", 3600]);
    assert.deepEqual([role.Description, role.Tags], [undefined, undefined]);
  });

  it("are unique without regard to case and path: EntityAlreadyExists", async () => {
    await create("Unique");
    await assertError(create("uNIQUE", { Path: "/other/" }), "EntityAlreadyExists", 409);
  });

  for (const [name, RoleName, input] of [
    ["a name of 65", "r".repeat(65), {}],
    ["a name with a slash", "a/b", {}],
    ["a path without slashes", "path", { Path: "irsa" }],
    ["a path of 513", "path", { Path: `/${"p".repeat(511)}/` }],
    ["MaxSessionDuration 3599", "duration", { MaxSessionDuration: 3599 }],
    ["MaxSessionDuration 43201", "duration", { MaxSessionDuration: 43_201 }],
    ["a description of 1001", "description", { Description: "d".repeat(1001) }],
  ] as const) {
    it(`${name}: ValidationError`, () =>
      assertError(create(RoleName, input), "ValidationError", 400));
  }

  for (const [name, RoleName, input] of [
    ["a name of 64", "r".repeat(64), {}],
    ["all characters of a name", "a+b=c,d.e@f_g-h", {}],
    ["MaxSessionDuration 3600", "duration-3600", { MaxSessionDuration: 3600 }],
    ["a description of 1000", "description-1000", { Description: "d".repeat(1000) }],
    ["a path of 512", "path-512", { Path: `/${"p".repeat(510)}/` }],
  ] as const) {
    it(`${name} is taken`, async () => assert.ok(await create(RoleName, input)));
  }

  it("are listed page by page, by path", async () => {
    for (const i of [1, 2, 3, 4, 5]) await create(`page-${i}`, { Path: "/pages/" });
    const pages: number[] = [];
    const names: (string | undefined)[] = [];
    const config = { client: iam, pageSize: 2 };
    for await (const { Roles = [] } of paginateListRoles(config, { PathPrefix: "/pages/" })) {
      pages.push(Roles.length);
      names.push(...Roles.map(({ RoleName }) => RoleName));
    }
    assert.deepEqual(pages, [2, 2, 1]);
    assert.deepEqual(names, ["page-1", "page-2", "page-3", "page-4", "page-5"]);
    const all = await iam.send(new ListRolesCommand({ PathPrefix: "/pages/" }));
    assert.deepEqual([all.IsTruncated, all.Marker], [false, undefined]);
    const bad = iam.send(new ListRolesCommand({ Marker: "nonsense" }));
    await assertError(bad, "InvalidInput", 400);
  });

  it("are changed: trust, description, duration, tags, boundary", async () => {
    const RoleName = "changing";
    await create(RoleName, { Description: "old" });
    const PolicyDocument = TRUST.replace("issuer.example", "other.example");
    await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument }));
    await iam.send(new UpdateRoleCommand({ RoleName, MaxSessionDuration: 7200 }));
    const Tags = [
      { Key: "Team", Value: "a" },
      { Key: "gone", Value: "" },
    ];
    await iam.send(new TagRoleCommand({ RoleName, Tags }));
    await iam.send(new UntagRoleCommand({ RoleName, TagKeys: ["Gone"] }));
    const PermissionsBoundary = await createPolicy("boundary-2");
    await iam.send(new PutRolePermissionsBoundaryCommand({ RoleName, PermissionsBoundary }));
    const { Role } = await iam.send(new GetRoleCommand({ RoleName }));
    assert.deepEqual(
      [
        decodeURIComponent(Role?.AssumeRolePolicyDocument ?? ""),
        Role?.Description,
        Role?.MaxSessionDuration,
        Role?.Tags,
        Role?.PermissionsBoundary?.PermissionsBoundaryArn,
      ],
      [PolicyDocument, "old", 7200, [{ Key: "Team", Value: "a" }], PermissionsBoundary],
    );
    const tags = await iam.send(new ListRoleTagsCommand({ RoleName }));
    assert.deepEqual(tags.Tags, [{ Key: "Team", Value: "a" }]);
    await iam.send(new DeleteRolePermissionsBoundaryCommand({ RoleName }));
    const without = await iam.send(new GetRoleCommand({ RoleName }));
    assert.equal(without.Role?.PermissionsBoundary, undefined);
  });

  for (const [name, call] of [
    ["GetRole", () => iam.send(new GetRoleCommand({ RoleName: "nobody" }))],
    ["DeleteRole", () => iam.send(new DeleteRoleCommand({ RoleName: "nobody" }))],
    ["TagRole", () => iam.send(new TagRoleCommand({ RoleName: "nobody", Tags: [] }))],
    [
      "UpdateAssumeRolePolicy",
      () =>
        iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: "nobody", PolicyDocument: TRUST })),
    ],
  ] as const) {
    it(`${name} of nobody: NoSuchEntity`, () => assertError(call(), "NoSuchEntity", 404));
  }
});

describe("policies of a role", () => {
  it("inline: put, read, listed, deleted", async () => {
    const RoleName = "inline";
    await create(RoleName);
    const put = { RoleName, PolicyName: "p-1", PolicyDocument: POLICY };
    await iam.send(new PutRolePolicyCommand(put));
    await iam.send(new PutRolePolicyCommand(put));
    const got = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName: "p-1" }));
    assert.equal(decodeURIComponent(got.PolicyDocument ?? ""), POLICY);
    const listed = await iam.send(new ListRolePoliciesCommand({ RoleName }));
    assert.deepEqual(listed.PolicyNames, ["p-1"]);
    await assertError(iam.send(new DeleteRoleCommand({ RoleName })), "DeleteConflict", 409);
    const named = { RoleName, PolicyName: "p-1" };
    await iam.send(new DeleteRolePolicyCommand(named));
    await assertError(iam.send(new DeleteRolePolicyCommand(named)), "NoSuchEntity", 404);
    await assertError(iam.send(new GetRolePolicyCommand(named)), "NoSuchEntity", 404);
    await iam.send(new DeleteRoleCommand({ RoleName }));
    await assertError(iam.send(new GetRoleCommand({ RoleName })), "NoSuchEntity", 404);
  });

  it("inline: 10240 characters without white space fit, one more does not", async () => {
    const RoleName = "inline-size";
    await create(RoleName);
    const put = (PolicyName: string, PolicyDocument: string): Promise<unknown> =>
      iam.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument }));
    await put("p-1", ` ${policyOf(10_140)} `);
    await put("p-2", policyOf(100));
    await assertError(put("p-2", policyOf(101)), "LimitExceeded", 409);
    await assertError(put("p-3", "{"), "MalformedPolicyDocument", 400);
  });

  it("managed: attached, listed by path, detached", async () => {
    const RoleName = "attached";
    await create(RoleName);
    const own = await createPolicy("own");
    for (const PolicyArn of [own, own, READ_ONLY]) {
      await iam.send(new AttachRolePolicyCommand({ RoleName, PolicyArn }));
    }
    const listed = await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }));
    assert.deepEqual(listed.AttachedPolicies, [
      { PolicyName: "own", PolicyArn: own },
      { PolicyName: "ReadOnlyAccess", PolicyArn: READ_ONLY },
    ]);
    await assertError(iam.send(new DeleteRoleCommand({ RoleName })), "DeleteConflict", 409);
    await assertError(iam.send(new DeletePolicyCommand({ PolicyArn: own })), "DeleteConflict", 409);
    const detach = { RoleName, PolicyArn: own };
    await iam.send(new DetachRolePolicyCommand(detach));
    await assertError(iam.send(new DetachRolePolicyCommand(detach)), "NoSuchEntity", 404);
    await iam.send(new DeletePolicyCommand({ PolicyArn: own }));
    const missing = iam.send(new AttachRolePolicyCommand(detach));
    await assertError(missing, "NoSuchEntity", 404);
    const boundary = iam.send(
      new PutRolePermissionsBoundaryCommand({ RoleName, PermissionsBoundary: own }),
    );
    await assertError(boundary, "NoSuchEntity", 404);
  });

  it("managed: 10 fit, 11 exceed the quota", async () => {
    const RoleName = "ten";
    await create(RoleName);
    const attach = (i: number): Promise<unknown> =>
      iam.send(
        new AttachRolePolicyCommand({ RoleName, PolicyArn: `arn:aws:iam::aws:policy/Ten${i}` }),
      );
    for (let i = 0; i < 10; i += 1) await attach(i);
    await assertError(attach(10), "LimitExceeded", 409);
  });

  it("the same policy name again: EntityAlreadyExists", async () => {
    await createPolicy("twice");
    await assertError(createPolicy("twice"), "EntityAlreadyExists", 409);
  });
});
