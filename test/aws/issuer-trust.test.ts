import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, describe, it } from "node:test";
import { UpdateOpenIDConnectProviderThumbprintCommand } from "@aws-sdk/client-iam";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { thumbprintOf } from "./identity-provider/presented-chain.ts";
import { registerCluster, type Cluster } from "./fixtures/cluster.ts";
import { startIssuer, validityAroundNow } from "./fixtures/issuer-server.ts";
import { assertInvalidToken, NO_KEY, NO_THUMBPRINT } from "./fixtures/rejection.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { newSigningKey } from "./fixtures/signing-keys.ts";
import { startAws, type Aws, type AwsOptions } from "./start-aws.ts";

// Which certificates of an issuer the stand-in trusts: by authority, else by thumbprint.
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const clock = { now: () => nowMs, sleep: async () => {} };
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const key = newSigningKey("RS256");
const issuer = resources.use(await startIssuer());
const NAME = "oidc.prod.example";
const named = resources.use(await startIssuer({ names: [NAME] }));

async function start(options: AwsOptions = {}): Promise<Aws> {
  return startAws({ clock, trustCaPems: [issuer.authority.cert], ...options });
}

/** Registers an issuer and makes a role that trusts it. */
function register(
  aws: Aws,
  url: string,
  options: { readonly thumbprints?: readonly string[]; readonly role?: string } = {},
): Promise<Cluster> {
  const nowSeconds = Math.floor(nowMs / 1000);
  return registerCluster(aws, { issuer: url, key, nowSeconds, role: "app", ...options });
}

describe("trust in the issuer's certificate", () => {
  const top = thumbprintOf(new X509Certificate(issuer.authority.cert));
  const leaf = thumbprintOf(new X509Certificate(issuer.pair.cert));

  for (const [name, options, thumbprints, message] of [
    ["authority trusted, thumbprint wrong", {}, ["0".repeat(40)], undefined],
    ["authority not trusted, thumbprint right", { trustCaPems: [] }, [top], undefined],
    [
      "authority not trusted, thumbprint right among others and in upper case",
      { trustCaPems: [] },
      ["0".repeat(40), top.toUpperCase()],
      undefined,
    ],
    [
      "authority not trusted, thumbprint wrong",
      { trustCaPems: [] },
      ["0".repeat(40)],
      NO_THUMBPRINT,
    ],
    ["authority not trusted, thumbprint of the leaf", { trustCaPems: [] }, [leaf], NO_THUMBPRINT],
  ] as const) {
    it(`${name}: ${message ?? "OK"}`, async () => {
      issuer.publish([key.jwk]);
      await using aws = await start(options);
      const cluster = await register(aws, issuer.url, { thumbprints });
      if (message === undefined) assert.ok((await cluster.exchange()).Credentials);
      else await assertInvalidToken(cluster.exchange(), message);
    });
  }

  it("the thumbprint is the one of the last certificate that is sent, here the leaf", async () => {
    await using bare = await startIssuer({
      present: (pair, { cert }) => ({ ...pair, cert: pair.cert.replace(cert, "") }),
    });
    bare.publish([key.jwk]);
    await using aws = await start({ trustCaPems: [] });
    const authorityOnly = thumbprintOf(new X509Certificate(bare.authority.cert));
    const cluster = await register(aws, bare.url, { thumbprints: [authorityOnly] });
    await assertInvalidToken(cluster.exchange(), NO_THUMBPRINT);
    await iamClient(aws).send(
      new UpdateOpenIDConnectProviderThumbprintCommand({
        OpenIDConnectProviderArn: cluster.providerArn,
        ThumbprintList: [thumbprintOf(new X509Certificate(bare.pair.cert))],
      }),
    );
    assert.ok((await cluster.exchange()).Credentials);
  });

  it("an impostor that sends the right last certificate after its own is refused", async () => {
    const foreign = await createAuthority("impostor", validityAroundNow());
    await using impostor = await startIssuer({
      present: async () => {
        const names = ["localhost", "127.0.0.1"] as const;
        const own = await issueServingCertificate(foreign, [...names], validityAroundNow());
        const leafPem = own.cert.replace(foreign.cert, "");
        return { cert: `${leafPem}${issuer.authority.cert}`, key: own.key };
      },
    });
    impostor.publish([key.jwk]);
    await using aws = await start({ trustCaPems: [] });
    const cluster = await register(aws, impostor.url, { thumbprints: [top] });
    await assertInvalidToken(cluster.exchange(), NO_KEY);
  });

  it("an expired certificate is refused though its thumbprint is right", async () => {
    const { notBeforeMs } = validityAroundNow();
    const past = { notBeforeMs: notBeforeMs - 1000, notAfterMs: notBeforeMs };
    const authority = await createAuthority("old", validityAroundNow());
    await using old = await startIssuer({
      present: () => issueServingCertificate(authority, ["localhost"], past),
    });
    old.publish([key.jwk]);
    await using aws = await start({ trustCaPems: [authority.cert] });
    const cluster = await register(aws, old.url, {
      thumbprints: [thumbprintOf(new X509Certificate(authority.cert))],
    });
    await assertInvalidToken(cluster.exchange(), NO_KEY);
  });

  it("a server that insists on TLS 1.3 is trusted by thumbprint only", async () => {
    await using modern = await startIssuer({ minTlsVersion: "TLSv1.3" });
    modern.publish([key.jwk]);
    await using aws = await start({ trustCaPems: [modern.authority.cert] });
    const cluster = await register(aws, modern.url);
    await assertInvalidToken(cluster.exchange(), NO_THUMBPRINT);
    await iamClient(aws).send(
      new UpdateOpenIDConnectProviderThumbprintCommand({
        OpenIDConnectProviderArn: cluster.providerArn,
        ThumbprintList: [thumbprintOf(new X509Certificate(modern.authority.cert))],
      }),
    );
    assert.ok((await cluster.exchange()).Credentials);
  });

  it("trust can be changed while it runs", async () => {
    issuer.publish([key.jwk]);
    await using aws = await start({ trustCaPems: [named.authority.cert] });
    const cluster = await register(aws, issuer.url);
    await assertInvalidToken(cluster.exchange(), NO_THUMBPRINT);
    aws.set({ trustCaPem: `${named.authority.cert}${issuer.authority.cert}` });
    assert.ok((await cluster.exchange()).Credentials);
  });
});
