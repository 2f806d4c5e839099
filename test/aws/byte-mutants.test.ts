import assert from "node:assert/strict";
import { Agent, request } from "node:https";
import { after, describe, it } from "node:test";
import { CreateOpenIDConnectProviderCommand, CreateRoleCommand } from "@aws-sdk/client-iam";
import { directExchange } from "./fixtures/direct-exchange.ts";
import { startIssuer } from "./fixtures/issuer-server.ts";
import { RECORDED_ROWS, type Row } from "./fixtures/recorded-rows.ts";
import { newRowContext, tokenOf } from "./fixtures/row-token.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { startAws } from "./start-aws.ts";

const nowMs = Math.floor(Date.now() / 1000) * 1000;
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const issuer = resources.use(await startIssuer());
const context = await newRowContext(issuer.url, nowMs / 1000);

// A token asked for with other parameters is the same token, so those rows are accepted as they are.
const accepted = RECORDED_ROWS.filter(({ outcome }) => !("code" in outcome));

/** The decoded bytes of a compact token's three parts. */
function partsOf(token: string): readonly Buffer[] {
  return token.split(".").map((part) => Buffer.from(part, "base64url"));
}

/** The token with one byte of one decoded part changed by XOR, in canonical base64url again. */
function withByteChanged(token: string, part: number, at: number, mask: number): string {
  const parts = partsOf(token);
  const bytes = parts[part];
  assert.ok(bytes !== undefined);
  bytes.writeUInt8(bytes.readUInt8(at) ^ mask, at);
  return parts.map((piece) => piece.toString("base64url")).join(".");
}

function* mutantsOf(token: string, masksAt: (at: number) => readonly number[]): Generator<string> {
  for (const [part, bytes] of partsOf(token).entries()) {
    for (let at = 0; at < bytes.length; at += 1) {
      for (const mask of masksAt(at)) yield withByteChanged(token, part, at, mask);
    }
  }
}

const EVERY_BIT = Array.from({ length: 8 }, (_, bit) => 1 << bit);
/** One flipped bit, another one from byte to byte, and the byte replaced by its complement. */
const bitAndComplement = (at: number): readonly number[] => [1 << (at % 8), 0xff];

describe("a changed byte anywhere in header, payload or signature is refused", () => {
  let tried = 0;
  const surviving: string[] = [];

  async function tryMutants(row: Row, masksAt: (at: number) => readonly number[]): Promise<number> {
    const { token, published } = tokenOf(row, context);
    const exchange = directExchange(context, published);
    assert.equal(await exchange(token, row.role), "OK", "the fixture itself is accepted");
    let count = 0;
    for (const mutant of mutantsOf(token, masksAt)) {
      const code = await exchange(mutant, row.role);
      if (code !== "InvalidIdentityToken") surviving.push(`${row.name}: ${code}`);
      count += 1;
    }
    tried += count;
    return count;
  }

  for (const row of accepted) {
    it(`${row.name}: every byte position`, async (t) => {
      const count = await tryMutants(row, bitAndComplement);
      t.diagnostic(`${count} mutants`);
      assert.deepEqual(surviving, []);
    });
  }

  for (const name of ["RS256", "ES256"]) {
    it(`${name}: every bit of every byte`, async (t) => {
      const row = accepted.find((candidate) => candidate.name === name);
      assert.ok(row !== undefined);
      const count = await tryMutants(row, () => EVERY_BIT);
      t.diagnostic(`${count} mutants`);
      assert.deepEqual(surviving, []);
    });
  }

  it("counts thousands of mutants over all fixtures, none accepted", (t) => {
    t.diagnostic(
      `${tried} mutants of ${accepted.length} accepted tokens, ${surviving.length} accepted`,
    );
    assert.ok(tried > 10_000, String(tried));
    assert.deepEqual(surviving, []);
  });

  it("is refused over the wire too, at every byte position of one token", async (t) => {
    await using aws = await startAws({
      clock: { now: () => nowMs, sleep: async () => {} },
      trustCaPems: [issuer.authority.cert],
      jwksCache: true,
    });
    const { token, published } = tokenOf({ name: "wire", outcome: {} }, context);
    issuer.publish(published, { cacheControl: "max-age=600" });
    const iam = iamClient(aws);
    await iam.send(
      new CreateOpenIDConnectProviderCommand({
        Url: issuer.url,
        ClientIDList: ["client-a"],
        ThumbprintList: ["0".repeat(40)],
      }),
    );
    const Principal = {
      Federated: `arn:aws:iam::111122223333:oidc-provider/${issuer.url.slice(8)}`,
    };
    const statement = { Effect: "Allow", Principal, Action: "sts:AssumeRoleWithWebIdentity" };
    const AssumeRolePolicyDocument = JSON.stringify({
      Version: "2012-10-17",
      Statement: [statement],
    });
    await iam.send(new CreateRoleCommand({ RoleName: "app", AssumeRolePolicyDocument }));
    const agent = new Agent({ ca: aws.caPem, keepAlive: true });
    assert.equal(await postToken(aws.sts, agent, token), 200);
    let count = 0;
    for (const mutant of mutantsOf(token, (at) => [1 << (at % 8)])) {
      assert.equal(await postToken(aws.sts, agent, mutant), 400);
      count += 1;
    }
    agent.destroy();
    t.diagnostic(`${count} mutants`);
    const codes = aws
      .calls()
      .slice(-count)
      .map(({ code }) => code);
    assert.deepEqual(new Set(codes), new Set(["InvalidIdentityToken"]));
  });
});

/** Sends a token as any HTTP client would, and tells the status. */
async function postToken(url: string, agent: Agent, token: string): Promise<number> {
  const form = new URLSearchParams({
    Action: "AssumeRoleWithWebIdentity",
    Version: "2011-06-15",
    RoleArn: "arn:aws:iam::111122223333:role/app",
    RoleSessionName: "session",
    WebIdentityToken: token,
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  request(url, { method: "POST", agent, headers }, (response) => {
    response.resume().once("end", () => resolve(response.statusCode ?? 0));
  })
    .on("error", reject)
    .end(form.toString());
  return promise;
}
