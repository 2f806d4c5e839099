import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  AddClientIDToOpenIDConnectProviderCommand,
  CreateOpenIDConnectProviderCommand,
  GetOpenIDConnectProviderCommand,
  ListOpenIDConnectProvidersCommand,
  ListOpenIDConnectProviderTagsCommand,
  RemoveClientIDFromOpenIDConnectProviderCommand,
  TagOpenIDConnectProviderCommand,
  UntagOpenIDConnectProviderCommand,
  UpdateOpenIDConnectProviderThumbprintCommand,
  type CreateOpenIDConnectProviderCommandInput,
  type GetOpenIDConnectProviderCommandOutput,
} from "@aws-sdk/client-iam";
import { wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { startAws } from "./start-aws.ts";

const aws = await startAws();
after(() => aws[Symbol.asyncDispose]());
const iam = iamClient(aws);
const ZEROS = "0".repeat(40);
const NEVER = "arn:aws:iam::111122223333:oidc-provider/never.example";
let made = 0;

/** Registers a provider; its host is one of its own unless told, and never contacted. */
async function create(
  input: Partial<CreateOpenIDConnectProviderCommandInput> = {},
): Promise<string> {
  made += 1;
  const answer = await iam.send(
    new CreateOpenIDConnectProviderCommand({
      Url: `https://host-${made}.example`,
      ThumbprintList: [ZEROS],
      ...input,
    }),
  );
  return answer.OpenIDConnectProviderArn ?? "";
}

function read(arn: string): Promise<GetOpenIDConnectProviderCommandOutput> {
  return iam.send(new GetOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: arn }));
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `client-${i}`);
}

/** An issuer's URL of so many characters. */
function longUrl(characters: number): string {
  return "https://long.example/".padEnd(characters, "p");
}

describe("errors and limits of providers", () => {
  it("the same URL again: EntityAlreadyExists", async () => {
    await create({ Url: "https://twice.example" });
    const { code, status } = await wireErrorOf(create({ Url: "https://twice.example:443" }));
    assert.deepEqual([code, status], ["EntityAlreadyExists", 409]);
  });

  it("the same URL in the other account is another provider", async () => {
    await create({ Url: "https://both.example" });
    const other = iamClient(aws, aws.accounts[1]);
    const { OpenIDConnectProviderArn } = await other.send(
      new CreateOpenIDConnectProviderCommand({
        Url: "https://both.example",
        ThumbprintList: [ZEROS],
      }),
    );
    assert.equal(OpenIDConnectProviderArn, "arn:aws:iam::444455556666:oidc-provider/both.example");
  });

  for (const [name, input, code] of [
    ["a URL of 256", { Url: longUrl(256) }, "ValidationError"],
    ["http", { Url: "http://plain.example" }, "InvalidInput"],
    ["no host", { Url: "https://" }, "InvalidInput"],
    ["no URL", { Url: "issuer" }, "InvalidInput"],
    ["a thumbprint of 39", { ThumbprintList: ["a".repeat(39)] }, "ValidationError"],
    ["a thumbprint of 41", { ThumbprintList: ["a".repeat(41)] }, "ValidationError"],
    ["a client id of 256", { ClientIDList: ["c".repeat(256)] }, "ValidationError"],
    ["a reserved tag", { Tags: [{ Key: "aws:x", Value: "y" }] }, "InvalidInput"],
    ["a tag key of 129", { Tags: [{ Key: "k".repeat(129), Value: "" }] }, "InvalidInput"],
    ["a tag value of 257", { Tags: [{ Key: "k", Value: "v".repeat(257) }] }, "InvalidInput"],
    [
      "a tag twice in another case",
      {
        Tags: [
          { Key: "Team", Value: "a" },
          { Key: "team", Value: "b" },
        ],
      },
      "InvalidInput",
    ],
  ] as const) {
    it(`${name}: ${code}`, async () => {
      const error = await wireErrorOf(create(structuredClone(input) as object));
      assert.deepEqual([error.code, error.status], [code, 400]);
    });
  }

  it("a URL of 255 is taken", async () => {
    assert.ok(await create({ Url: longUrl(255) }));
  });

  it("100 client ids are taken, 101 exceed the quota", async () => {
    const arn = await create({ ClientIDList: numbered(100) });
    const more = { OpenIDConnectProviderArn: arn, ClientID: "one-more" };
    const errors = [
      await wireErrorOf(iam.send(new AddClientIDToOpenIDConnectProviderCommand(more))),
      await wireErrorOf(create({ ClientIDList: numbered(101) })),
    ];
    for (const { code, status } of errors) assert.deepEqual([code, status], ["LimitExceeded", 409]);
  });

  it("50 tags are taken, 51 exceed the quota", async () => {
    const Tags = numbered(51).map((Key) => ({ Key, Value: "v" }));
    await create({ Tags: Tags.slice(0, 50) });
    const { code, status } = await wireErrorOf(create({ Tags }));
    assert.deepEqual([code, status], ["LimitExceeded", 409]);
  });

  it("100 providers fit into an account", async () => {
    await using full = await startAws();
    const client = iamClient(full);
    const add = (i: number) =>
      client.send(
        new CreateOpenIDConnectProviderCommand({
          Url: `https://host-${i}.example`,
          ThumbprintList: [ZEROS],
        }),
      );
    for (let i = 0; i < 100; i += 1) await add(i);
    const { code, status } = await wireErrorOf(add(100));
    assert.deepEqual([code, status], ["LimitExceeded", 409]);
  });

  for (const [name, call] of [
    ["Get", () => read(NEVER)],
    [
      "AddClientID",
      () =>
        iam.send(
          new AddClientIDToOpenIDConnectProviderCommand({
            OpenIDConnectProviderArn: NEVER,
            ClientID: "a",
          }),
        ),
    ],
    [
      "UpdateThumbprint",
      () =>
        iam.send(
          new UpdateOpenIDConnectProviderThumbprintCommand({
            OpenIDConnectProviderArn: NEVER,
            ThumbprintList: [ZEROS],
          }),
        ),
    ],
    [
      "another account's provider",
      () => read("arn:aws:iam::444455556666:oidc-provider/both.example"),
    ],
  ] as const) {
    it(`${name} of what is not there: NoSuchEntity`, async () => {
      const { code, status } = await wireErrorOf(call());
      assert.deepEqual([code, status], ["NoSuchEntity", 404]);
    });
  }
});

describe("life of a provider", () => {
  it("is read, listed, changed and tagged", async () => {
    const arn = await create({
      Url: "https://life.example/prod",
      ClientIDList: ["sts.amazonaws.com"],
      Tags: [{ Key: "irsa/cluster", Value: "prod" }],
    });
    const OpenIDConnectProviderArn = arn;
    const listed = await iam.send(new ListOpenIDConnectProvidersCommand({}));
    assert.ok(listed.OpenIDConnectProviderList?.some(({ Arn }) => Arn === arn));

    // Adding what is there and removing what is not are documented as harmless.
    for (const ClientID of ["second", "second"]) {
      await iam.send(
        new AddClientIDToOpenIDConnectProviderCommand({ OpenIDConnectProviderArn, ClientID }),
      );
    }
    for (const ClientID of ["sts.amazonaws.com", "never"]) {
      await iam.send(
        new RemoveClientIDFromOpenIDConnectProviderCommand({ OpenIDConnectProviderArn, ClientID }),
      );
    }
    await iam.send(
      new UpdateOpenIDConnectProviderThumbprintCommand({
        OpenIDConnectProviderArn,
        ThumbprintList: ["F".repeat(40)],
      }),
    );
    await iam.send(
      new TagOpenIDConnectProviderCommand({
        OpenIDConnectProviderArn,
        Tags: [
          { Key: "IRSA/cluster", Value: "stage" },
          { Key: "owner", Value: "" },
        ],
      }),
    );
    await iam.send(
      new UntagOpenIDConnectProviderCommand({
        OpenIDConnectProviderArn,
        TagKeys: ["OWNER", "never"],
      }),
    );
    const { Url, ClientIDList, ThumbprintList, CreateDate, Tags } = await read(arn);
    assert.deepEqual(
      { Url, ClientIDList, ThumbprintList, Tags },
      {
        Url: "life.example/prod",
        ClientIDList: ["second"],
        ThumbprintList: ["f".repeat(40)],
        Tags: [{ Key: "IRSA/cluster", Value: "stage" }],
      },
    );
    assert.ok(CreateDate instanceof Date);
    const tags = await iam.send(
      new ListOpenIDConnectProviderTagsCommand({ OpenIDConnectProviderArn }),
    );
    assert.deepEqual(tags.Tags, Tags);
  });
});
