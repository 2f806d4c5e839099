import assert from "node:assert/strict";
import { stsRegionOf } from "../../../metadata-shim/credentials/sts-region.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { REGION, ROLE_LIST } from "../shim-world.ts";
import { ISO_TIME, credentialsIn, factsIn, identityOf, statusOfAll } from "../replies.ts";
import { CREDENTIALS, get, credentialsAt } from "./ask.ts";
import { A, B, PLAIN, CHINA, LONG_ROLE, LONG_POD, LONG_NAME } from "./pods.ts";

export const credentialRows: ConformanceRow[] = [];
const row = rowsInto(credentialRows);

row(67, "credentials: seven fields", async (world) => {
  const document = await credentialsAt(world, A);
  assert.deepEqual(Object.keys(document), [
    "Code",
    "LastUpdated",
    "Type",
    "AccessKeyId",
    "SecretAccessKey",
    "Token",
    "Expiration",
  ]);
  assert.deepEqual([document["Code"], document["Type"]], ["Success", "AWS-HMAC"]);
});
row(68, "credentials: times", async (world) => {
  const { Expiration, LastUpdated = "" } = await credentialsAt(world, A);
  assert.match(Expiration, ISO_TIME);
  assert.match(LastUpdated, ISO_TIME);
});
row(75, "two pods of one role are two sessions, with their names", async (world) => {
  const [a, b] = await Promise.all([credentialsAt(world, A), credentialsAt(world, B)]);
  assert.notEqual(a.AccessKeyId, b.AccessKeyId);
  assert.match(await identityOf(world, a), /assumed-role\/app-role\/ns\.app$/);
  assert.match(await identityOf(world, b), /assumed-role\/app-role\/ns\.other$/);
});
row(76, "two pods at once never see each other's credentials", async (world) => {
  const pods = await Promise.all(
    [A, B].map(async (from) => {
      const { AccessKeyId } = await credentialsAt(world, from);
      return { from, key: AccessKeyId, headers: await world.token(from) };
    }),
  );
  for (let round = 0; round < 20; round += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- bounded by connections
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        const pod = pods[Math.random() < 0.5 ? 0 : 1];
        assert.ok(pod !== undefined);
        const reply = await get(world, CREDENTIALS, pod.headers, pod.from);
        assert.equal(credentialsIn(reply).AccessKeyId, pod.key);
      }),
    );
  }
});
row(86, "a ServiceAccount without a role", async (world) => {
  const replies = [`${ROLE_LIST}/`, CREDENTIALS].map((path) => world.read(PLAIN, path));
  assert.deepEqual(await statusOfAll(replies), [404, 404]);
});
row(87, "a role in China", async (world) => {
  const info = factsIn(await world.read(CHINA, "/latest/meta-data/iam/info"));
  const arn = "arn:aws-cn:iam::111122223333:instance-profile/app-role";
  assert.equal(info["InstanceProfileArn"], arn);
  assert.equal(stsRegionOf("arn:aws-cn:iam::111122223333:role/app-role", REGION), "cn-north-1");
  assert.equal(
    stsRegionOf("arn:aws-us-gov:iam::111122223333:role/app-role", REGION),
    "us-gov-west-1",
  );
});
row(88, "a role's name of 64 characters, encoded", async (world) => {
  assert.equal(LONG_NAME.length, 64);
  assert.equal((await world.read(LONG_ROLE, `${ROLE_LIST}/`)).body, LONG_NAME);
  for (const name of [encodeURIComponent(LONG_NAME), LONG_NAME]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    credentialsIn(await world.read(LONG_ROLE, `${ROLE_LIST}/${name}`));
  }
});
row(89, "a pod's name of 253 characters", async (world) => {
  const arn = await identityOf(world, await credentialsAt(world, LONG_POD));
  assert.match(arn, /\/app-role\/[\w+=,.@-]{2,64}$/);
});
row(90, "credentials are JSON that says what AWS said", async (world) => {
  const reply = await world.read(A, CREDENTIALS);
  assert.doesNotMatch(reply.body, /\\/);
  assert.match(await identityOf(world, credentialsIn(reply)), /assumed-role\/app-role\//);
});
