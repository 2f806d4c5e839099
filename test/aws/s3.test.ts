import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, describe, it } from "node:test";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  DeletePublicAccessBlockCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { registerCluster } from "./fixtures/cluster.ts";
import { codeOf, httpsCall, type HttpsAnswer } from "./fixtures/https-call.ts";
import { discoveryOf } from "./fixtures/issuer-server.ts";
import { wireErrorOf } from "./fixtures/rejection.ts";
import { sdkSettings, type SdkCredentials } from "./fixtures/sdk-clients.ts";
import { newSigningKey } from "./fixtures/signing-keys.ts";
import { startAws } from "./start-aws.ts";

const aws = await startAws();
after(() => aws[Symbol.asyncDispose]());
const s3 = s3Client();
const other = s3Client(aws.accounts[1]);
const Bucket = "irsa-documents";
await s3.send(new CreateBucketCommand({ Bucket }));

function s3Client(credentials?: SdkCredentials): S3Client {
  return new S3Client({ ...sdkSettings(aws, credentials), forcePathStyle: true });
}

async function put(Key: string, Body: string, more: object = {}): Promise<string> {
  const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
  return ETag ?? "";
}

async function textOf(Key: string): Promise<string | undefined> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
  return Body?.transformToString();
}

async function assertError(call: Promise<unknown>, code: string, status: number): Promise<void> {
  const error = await wireErrorOf(call);
  assert.deepEqual([error.code, error.status], [code, status], error.message);
}

function publicPolicy(bucket: string, changes: object = {}): string {
  const statement = {
    Effect: "Allow",
    Principal: "*",
    Action: "s3:GetObject",
    Resource: [`arn:aws:s3:::${bucket}/prod/*`],
    ...changes,
  };
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

function withStatements(...Statement: readonly object[]): string {
  return JSON.stringify({ Version: "2012-10-17", Statement });
}

/** A request of anybody, unsigned. */
function read(path: string, method = "GET"): Promise<HttpsAnswer> {
  return httpsCall(aws, { method, path });
}

describe("buckets", () => {
  it("are made, found, and removed when empty", async () => {
    const name = { Bucket: "short-lived" };
    await s3.send(new CreateBucketCommand(name));
    const { BucketRegion } = await s3.send(new HeadBucketCommand(name));
    assert.equal(BucketRegion, "eu-central-1");
    await s3.send(new PutObjectCommand({ ...name, Key: "a", Body: "a" }));
    await assertError(s3.send(new DeleteBucketCommand(name)), "BucketNotEmpty", 409);
    await s3.send(new DeleteObjectCommand({ ...name, Key: "a" }));
    await s3.send(new DeleteBucketCommand(name));
    const gone = await wireErrorOf(s3.send(new HeadBucketCommand(name)));
    assert.equal(gone.status, 404);
  });

  it("have one name in all accounts", async () => {
    const again = s3.send(new CreateBucketCommand({ Bucket }));
    await assertError(again, "BucketAlreadyOwnedByYou", 409);
    const foreign = other.send(new CreateBucketCommand({ Bucket }));
    await assertError(foreign, "BucketAlreadyExists", 409);
  });

  it("are closed to the other account", async () => {
    const write = other.send(new PutObjectCommand({ Bucket, Key: "x", Body: "x" }));
    await assertError(write, "AccessDenied", 403);
    await assertError(other.send(new ListObjectsV2Command({ Bucket })), "AccessDenied", 403);
  });

  for (const Name of ["UPPER-CASE", "ab", "a".repeat(64), "-dash"]) {
    it(`no bucket is called ${Name.slice(0, 12)}: InvalidBucketName`, async () => {
      const call = s3.send(new CreateBucketCommand({ Bucket: Name }));
      await assertError(call, "InvalidBucketName", 400);
    });
  }
});

describe("objects", () => {
  it("come back with their bytes and headers", async () => {
    const Key = "prod/.well-known/openid-configuration ü+";
    const etag = await put(Key, '{"a":1}', {
      ContentType: "application/json",
      CacheControl: "public, max-age=300",
      Metadata: { generation: "7" },
    });
    const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
    assert.equal(await got.Body?.transformToString(), '{"a":1}');
    assert.deepEqual(
      [got.ContentType, got.CacheControl, got.Metadata, got.ETag, got.ContentLength],
      ["application/json", "public, max-age=300", { generation: "7" }, etag, 7],
    );
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
    assert.deepEqual([head.ContentLength, head.ETag, head.ContentType], [7, etag, got.ContentType]);
    assert.ok(head.LastModified instanceof Date);
  });

  it("are taken as a stream in chunks with a checksum at the end", async () => {
    const Body = Readable.from([Buffer.from("one "), Buffer.alloc(70_000, "x")]);
    await s3.send(new PutObjectCommand({ Bucket, Key: "streamed", Body, ContentLength: 70_004 }));
    assert.equal(await textOf("streamed"), `one ${"x".repeat(70_000)}`);
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "streamed" }));
    assert.equal(head.ContentEncoding, undefined);
  });

  it("what is not there: NoSuchKey, NoSuchBucket", async () => {
    await assertError(textOf("nothing"), "NoSuchKey", 404);
    const head = s3.send(new HeadObjectCommand({ Bucket, Key: "nothing" }));
    assert.equal((await wireErrorOf(head)).status, 404);
    const get = s3.send(new GetObjectCommand({ Bucket: "no-such-bucket", Key: "a" }));
    await assertError(get, "NoSuchBucket", 404);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: "nothing" }));
  });

  it("If-None-Match * writes once, If-Match only over what was read", async () => {
    const Key = "guarded";
    const first = await put(Key, "1", { IfNoneMatch: "*" });
    await assertError(put(Key, "2", { IfNoneMatch: "*" }), "PreconditionFailed", 412);
    const second = await put(Key, "2", { IfMatch: first });
    await assertError(put(Key, "3", { IfMatch: first }), "PreconditionFailed", 412);
    assert.equal(await textOf(Key), "2");
    await assertError(put("nothing", "3", { IfMatch: second }), "NoSuchKey", 404);
    const unchanged = s3.send(new GetObjectCommand({ Bucket, Key, IfNoneMatch: second }));
    assert.equal((await wireErrorOf(unchanged)).status, 304);
    const changed = s3.send(new GetObjectCommand({ Bucket, Key, IfMatch: first }));
    await assertError(changed, "PreconditionFailed", 412);
    await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    await assertError(textOf(Key), "NoSuchKey", 404);
  });

  it("are listed by prefix, with delimiter, page by page", async () => {
    for (const key of ["list/a", "list/b/1", "list/b/2", "list/c", "list/ü"]) await put(key, key);
    const flat = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "list/" }));
    assert.deepEqual(
      flat.Contents?.map(({ Key, Size }) => [Key, Size]),
      [
        ["list/a", 6],
        ["list/b/1", 8],
        ["list/b/2", 8],
        ["list/c", 6],
        ["list/ü", 7],
      ],
    );
    const folders = await s3.send(
      new ListObjectsV2Command({ Bucket, Prefix: "list/", Delimiter: "/", EncodingType: "url" }),
    );
    assert.deepEqual(folders.CommonPrefixes, [{ Prefix: "list%2Fb%2F" }]);
    const pages: (readonly (string | undefined)[])[] = [];
    const input = { Bucket, Prefix: "list/" };
    for await (const { Contents = [] } of paginateListObjectsV2(
      { client: s3, pageSize: 2 },
      input,
    )) {
      pages.push(Contents.map(({ Key }) => Key));
    }
    assert.deepEqual(pages, [["list/a", "list/b/1"], ["list/b/2", "list/c"], ["list/ü"]]);
  });

  it("operations that are not known: NotImplemented", async () => {
    const call = s3.send(new GetBucketVersioningCommand({ Bucket }));
    await assertError(call, "NotImplemented", 501);
  });
});

describe("signatures of S3", () => {
  for (const [name, change, code] of [
    ["an unknown key", { accessKeyId: `AKIA${"A".repeat(16)}` }, "InvalidAccessKeyId"],
    ["another secret", { secretAccessKey: "x".repeat(40) }, "SignatureDoesNotMatch"],
  ] as const) {
    it(`${name}: ${code}`, async () => {
      const [administrator] = aws.accounts;
      assert.ok(administrator !== undefined);
      const client = s3Client({ ...administrator, ...change });
      await assertError(client.send(new ListObjectsV2Command({ Bucket })), code, 403);
    });
  }

  it("a body that is not the one that was signed", async () => {
    const client = s3Client();
    client.middlewareStack.add(
      (next) => async (args) => {
        (args.request as { body: unknown }).body = "evil";
        return next(args);
      },
      { step: "deserialize", priority: "low" },
    );
    const call = client.send(new PutObjectCommand({ Bucket, Key: "tampered", Body: "good" }));
    await assertError(call, "XAmzContentSHA256Mismatch", 400);
    await assertError(textOf("tampered"), "NoSuchKey", 404);
  });
});

describe("public access", () => {
  it("a new bucket blocks public policies and reads until that is lifted", async () => {
    const name = { Bucket: "public-one" };
    const Policy = publicPolicy(name.Bucket);
    await s3.send(new CreateBucketCommand(name));
    await s3.send(new PutObjectCommand({ ...name, Key: "prod/keys", Body: "keys" }));
    await s3.send(new PutObjectCommand({ ...name, Key: "secret", Body: "secret" }));
    const { PublicAccessBlockConfiguration } = await s3.send(new GetPublicAccessBlockCommand(name));
    assert.deepEqual(new Set(Object.values(PublicAccessBlockConfiguration ?? {})), new Set([true]));
    const blocked = s3.send(new PutBucketPolicyCommand({ ...name, Policy }));
    await assertError(blocked, "AccessDenied", 403);

    await s3.send(
      new PutPublicAccessBlockCommand({
        ...name,
        PublicAccessBlockConfiguration: { BlockPublicPolicy: false, RestrictPublicBuckets: true },
      }),
    );
    await s3.send(new PutBucketPolicyCommand({ ...name, Policy }));
    const stored = await s3.send(new GetBucketPolicyCommand(name));
    assert.equal(stored.Policy, Policy);
    assert.equal(codeOf(await read("/public-one/prod/keys")), "AccessDenied");

    await s3.send(new DeletePublicAccessBlockCommand(name));
    await assertError(
      s3.send(new GetPublicAccessBlockCommand(name)),
      "NoSuchPublicAccessBlockConfiguration",
      404,
    );
    assert.equal((await read("/public-one/prod/keys")).body, "keys");
    assert.equal((await read("/public-one/prod/keys", "HEAD")).status, 200);
    for (const path of ["/public-one/secret", "/public-one/?list-type=2", "/public-one/"]) {
      assert.notEqual((await read(path)).status, 200, path);
    }
    for (const method of ["PUT", "DELETE"]) {
      assert.equal((await read("/public-one/prod/keys", method)).status, 403);
    }

    await s3.send(new DeleteBucketPolicyCommand(name));
    assert.equal(codeOf(await read("/public-one/prod/keys")), "AccessDenied");
    await assertError(s3.send(new GetBucketPolicyCommand(name)), "NoSuchBucketPolicy", 404);
  });

  it("an explicit Deny wins, conditions count, and bad policies are refused", async () => {
    const name = { Bucket: "public-two" };
    await s3.send(new CreateBucketCommand(name));
    await s3.send(new DeletePublicAccessBlockCommand(name));
    await s3.send(new PutObjectCommand({ ...name, Key: "prod/keys", Body: "keys" }));
    const set = (Policy: string): Promise<unknown> =>
      s3.send(new PutBucketPolicyCommand({ ...name, Policy }));
    const allow = JSON.parse(publicPolicy(name.Bucket)).Statement[0] as object;
    const insecure = { Condition: { Bool: { "aws:SecureTransport": "false" } } };

    await set(withStatements(allow, { ...allow, Effect: "Deny", ...insecure }));
    assert.equal((await read("/public-two/prod/keys")).status, 200);
    await set(withStatements(allow, { ...allow, Effect: "Deny" }));
    assert.equal((await read("/public-two/prod/keys")).status, 403);
    await set(withStatements({ ...allow, ...insecure }));
    assert.equal((await read("/public-two/prod/keys")).status, 403);
    await set(withStatements({ ...allow, Principal: { AWS: "arn:aws:iam::111122223333:root" } }));
    assert.equal((await read("/public-two/prod/keys")).status, 403);

    await assertError(set("{"), "MalformedPolicy", 400);
    await assertError(set(publicPolicy("another-bucket")), "MalformedPolicy", 400);
    const unknown = { ...allow, Condition: { IpAddress: { "aws:SourceIp": "10.0.0.0/8" } } };
    await assertError(set(withStatements(unknown)), "MalformedPolicy", 400);
  });

  it("a public bucket serves as an issuer that STS verifies tokens by", async () => {
    const name = { Bucket: "issuer-bucket" };
    const issuer = `${aws.s3.replace("127.0.0.1", "localhost")}/issuer-bucket/prod`;
    const key = newSigningKey("ES256");
    await s3.send(new CreateBucketCommand(name));
    await s3.send(new DeletePublicAccessBlockCommand(name));
    await s3.send(new PutBucketPolicyCommand({ ...name, Policy: publicPolicy(name.Bucket) }));
    for (const [Key, document] of [
      ["prod/.well-known/openid-configuration", discoveryOf(issuer)],
      ["prod/openid/v1/jwks", { keys: [key.jwk] }],
    ] as const) {
      await s3.send(new PutObjectCommand({ ...name, Key, Body: JSON.stringify(document) }));
    }
    aws.set({ trustCaPem: aws.caPem });
    const nowSeconds = Math.floor(Date.now() / 1000);
    const cluster = await registerCluster(aws, { issuer, key, nowSeconds, role: "app" });
    assert.ok((await cluster.exchange()).Credentials);
  });
});
