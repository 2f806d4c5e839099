import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, describe, it } from "node:test";
import {
  CreateOpenIDConnectProviderCommand,
  DeleteOpenIDConnectProviderCommand,
  GetOpenIDConnectProviderCommand,
  UpdateOpenIDConnectProviderThumbprintCommand,
  type CreateOpenIDConnectProviderCommandInput,
  type GetOpenIDConnectProviderCommandOutput,
} from "@aws-sdk/client-iam";
import { discoveryOf, startIssuer } from "./fixtures/issuer-server.ts";
import { wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { thumbprintOf } from "./identity-provider/presented-chain.ts";
import { startAws } from "./start-aws.ts";

const aws = await startAws();
after(() => aws[Symbol.asyncDispose]());
const iam = iamClient(aws);
const ZEROS = "0".repeat(40);
const PREFIX = "arn:aws:iam::111122223333:oidc-provider/";
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

function remove(arn: string): Promise<unknown> {
  return iam.send(new DeleteOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: arn }));
}

async function createWithoutThumbprints(Url: string): Promise<string> {
  const answer = await iam.send(new CreateOpenIDConnectProviderCommand({ Url }));
  return answer.OpenIDConnectProviderArn ?? "";
}

describe("registration as recorded", () => {
  for (const [name, url, kept] of [
    ["issuer kept verbatim", "https://Verbatim.example/A%2Fb/../c", "Verbatim.example/A%2Fb/../c"],
    ["/path", "https://slash.example/path", "slash.example/path"],
    ["/path/ is a different provider", "https://slash.example/path/", "slash.example/path/"],
    ["case-sensitive", "https://case.example/path", "case.example/path"],
    [
      "case-sensitive: another case is another provider",
      "https://case.example/Path",
      "case.example/Path",
    ],
    [":443 is stripped", "https://port.example:443/path", "port.example/path"],
    [":443 is stripped without a path", "https://port.example:443", "port.example"],
    ["another port is kept (a deviation)", "https://port.example:8443", "port.example:8443"],
  ] as const) {
    it(name, async () => {
      const arn = await create({ Url: url });
      assert.equal(arn, `${PREFIX}${kept}`);
      assert.equal((await read(arn)).Url, kept);
    });
  }

  for (const [name, url] of [
    ["query", "https://bad.example/path?a=b"],
    ["bare question mark", "https://bad.example/path?"],
    ["fragment", "https://bad.example/path#a"],
  ] as const) {
    it(`${name}: InvalidInput Unknown`, async () => {
      assert.deepEqual(await wireErrorOf(create({ Url: url })), {
        code: "InvalidInput",
        status: 400,
        message: "Unknown",
      });
    });
  }

  it("empty client list allowed", async () => {
    const { ClientIDList } = await read(await create({ ClientIDList: [] }));
    assert.deepEqual(ClientIDList, []);
  });

  it("duplicates in client ids removed", async () => {
    const { ClientIDList } = await read(await create({ ClientIDList: ["b", "a", "b"] }));
    assert.deepEqual(ClientIDList, ["b", "a"]);
  });

  it("thumbprints lower-cased but not de-duplicated nor checked as hex", async () => {
    const ThumbprintList = ["A".repeat(40), "a".repeat(40), "x".repeat(40)];
    const answer = await read(await create({ ThumbprintList }));
    assert.deepEqual(answer.ThumbprintList, ["a".repeat(40), "a".repeat(40), "x".repeat(40)]);
  });

  it("5 thumbprints are taken", async () => {
    const arn = await create({ ThumbprintList: Array.from({ length: 5 }, () => ZEROS) });
    assert.equal((await read(arn)).ThumbprintList?.length, 5);
  });

  it("6 thumbprints: InvalidInput", async () => {
    const six = create({ ThumbprintList: Array.from({ length: 6 }, () => ZEROS) });
    assert.deepEqual(await wireErrorOf(six), {
      code: "InvalidInput",
      status: 400,
      message: "Thumbprint list must contain fewer than 5 entries.",
    });
  });

  it("update with []: InvalidInput", async () => {
    const OpenIDConnectProviderArn = await create();
    const update = iam.send(
      new UpdateOpenIDConnectProviderThumbprintCommand({
        OpenIDConnectProviderArn,
        ThumbprintList: [],
      }),
    );
    assert.deepEqual(await wireErrorOf(update), {
      code: "InvalidInput",
      status: 400,
      message: "Thumbprint list must contain at least one entry.",
    });
    assert.deepEqual((await read(OpenIDConnectProviderArn)).ThumbprintList, [ZEROS]);
  });

  it("delete twice: NoSuchEntity", async () => {
    const arn = await create();
    await remove(arn);
    const { code, status } = await wireErrorOf(remove(arn));
    assert.deepEqual([code, status], ["NoSuchEntity", 404]);
  });

  it("discovery is not contacted when thumbprints are given", async () => {
    await using issuer = await startIssuer();
    const arn = await create({ Url: issuer.url });
    assert.equal(arn, `${PREFIX}localhost:${issuer.port}`);
    assert.deepEqual(issuer.requested, []);
  });
});

describe("thumbprint that IAM takes itself", () => {
  it("is the one of the last certificate that the jwks_uri's host sends", async () => {
    await using keys = await startIssuer();
    await using issuer = await startIssuer();
    const document = { ...discoveryOf(issuer.url), jwks_uri: `${keys.url}/keys` };
    const body = JSON.stringify(document);
    issuer.documents.set("/.well-known/openid-configuration", { body });
    const arn = await createWithoutThumbprints(issuer.url);
    const wanted = thumbprintOf(new X509Certificate(keys.authority.cert));
    assert.deepEqual((await read(arn)).ThumbprintList, [wanted]);
  });

  it("an issuer that cannot be reached: OpenIdIdpCommunicationError, and nothing is made", async () => {
    const unreachable = createWithoutThumbprints("https://unreachable.example");
    const { code, status } = await wireErrorOf(unreachable);
    assert.deepEqual([code, status], ["OpenIdIdpCommunicationError", 400]);
    assert.equal((await wireErrorOf(read(`${PREFIX}unreachable.example`))).code, "NoSuchEntity");
  });
});
