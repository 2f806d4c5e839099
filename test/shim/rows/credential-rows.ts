import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { stsRegionOf } from "../../../metadata-shim/credentials/sts-region.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { REGION, ROLE_LIST } from "../shim-world.ts";
import { ISO_TIME, credentialsIn, factsIn, identityOf, statusOfAll } from "../replies.ts";
import { CREDENTIALS, get, credentialsAt } from "./ask.ts";
import { A, B, PLAIN, CHINA, LONG_ROLE, LONG_POD, LONG_TWIN, LONG_NAME } from "./pods.ts";

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
/** Shorter where all tests are run on few cores. */
const CROSS_SECONDS = process.env["CI"] === "true" ? 10 : 30;
const LANES = 8;
row(76, `two pods at once, for ${CROSS_SECONDS} s, never see each other's keys`, async (world) => {
  const pods = await Promise.all(
    [A, B].map(async (from) => {
      const { AccessKeyId } = await credentialsAt(world, from);
      return { from, key: AccessKeyId, headers: await world.token(from) };
    }),
  );
  const endMs = performance.now() + CROSS_SECONDS * 1000;
  const answers = [0, 0];
  let unanswered = 0;
  const askOn = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const which = Math.random() < 0.5 ? 0 : 1;
      const pod = pods[which];
      assert.ok(pod !== undefined);
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const reply = await get(world, CREDENTIALS, pod.headers, pod.from);
      // Without the kernel's word a live read may take too long on a busy machine.
      if (reply.status === 503) unanswered += 1;
      else assert.equal(credentialsIn(reply).AccessKeyId, pod.key);
      answers[which] = (answers[which] ?? 0) + 1;
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await sleep(Math.random() * 20);
    }
  };
  await Promise.all(Array.from({ length: LANES }, askOn));
  const told = `${answers.join(" and ")} answers, ${unanswered} of them 503`;
  assert.ok(Math.min(...answers) > CROSS_SECONDS, told);
  assert.ok(unanswered <= (answers[0] ?? 0) / 20, told);
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
row(89, "a pod's name of 253 characters, of which the end is told by a suffix", async (world) => {
  const [one, two] = await Promise.all(
    [LONG_POD, LONG_TWIN].map(async (from) => identityOf(world, await credentialsAt(world, from))),
  );
  for (const arn of [one, two]) {
    const [, name = ""] = /\/app-role\/([\w+=,.@-]*)$/.exec(arn ?? "") ?? [];
    assert.equal(name.length, 64, arn);
    assert.match(name, /^ns\.p+-[0-9a-f]{10}$/);
  }
  // Of two whose names differ only where nobody sees it.
  assert.notEqual(one, two);
});
row(90, "credentials are JSON that says what AWS said", async (world) => {
  const reply = await world.read(A, CREDENTIALS);
  assert.doesNotMatch(reply.body, /\\/);
  assert.match(await identityOf(world, credentialsIn(reply)), /assumed-role\/app-role\//);
});
