import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { PROFILE_TRAITS } from "../../../metadata-shim/role/profile.ts";
import { untilWithin } from "../../fakes/until.ts";
import { credentialsIn, identityOf } from "../replies.ts";
import { METADATA_IPV4, ROLE_LIST } from "../shim-world.ts";
import { compatibilityRowsInto, type CompatibilityRow } from "./compatibility-row.ts";
import type { ProfileStage, StagePod } from "./profile-stage.ts";

const untilDecided = untilWithin({ limitMs: 30_000, pauseMs: 100 });

/** How credentials come, and how long they hold. */
export const compatibilityCredentialRows: CompatibilityRow[] = [];
const row = compatibilityRowsInto(compatibilityCredentialRows);

const CREDENTIALS = `${ROLE_LIST}/app-role`;
const EXTERNAL_ID = "iam.amazonaws.com/external-id";
const SESSION_NAME = "iam.amazonaws.com/session-name";
const EXCHANGE = { actions: ["AssumeRoleWithWebIdentity"] };

const annotated = (id: string): Readonly<Record<string, string>> => ({ [EXTERNAL_ID]: id });
const keyOf = async (stage: ProfileStage, pod: StagePod): Promise<string> =>
  credentialsIn(await stage.read(pod, CREDENTIALS)).AccessKeyId;

/** The status when it asks as an SDK does, again after a 503: two calls of STS may take their time. */
async function lastStatusOf(ask: () => Promise<string>): Promise<string> {
  let status = "";
  await untilDecided("STS was asked", async () => {
    [status = ""] = (await ask()).split(" ", 1);
    return status !== "503";
  });
  return status;
}

row(
  "C25",
  "one role with two external ids, and one that changes; by the node the right one alone",
  {
    strict: "200 each its own, the same after the change, 403 for both",
    kube2iam: "200 each its own, others after the change, 200 for the right one, 403 for the other",
    kiam: "200 each its own, others after the change, 200 for the right one, 403 for the other",
  },
  async (stage) => {
    const uid = randomUUID();
    const good = stage.pod({ role: "app-role", uid, annotations: annotated("good") });
    const bad = stage.pod({ role: "app-role", annotations: annotated("bad") });
    const [key, other] = [await keyOf(stage, good), await keyOf(stage, bad)];
    assert.notEqual(key, other);
    // The same pod, with another annotation.
    const same = { uid, name: good.name, addresses: [good.address] };
    stage.pod({ role: "app-role", ...same, annotations: annotated("new") });
    await sleep(100);
    const isSame = (await keyOf(stage, good)) === key;
    const isLegacy = PROFILE_TRAITS[stage.profile].readsPodAnnotations;
    const port = await stage.shim(isLegacy ? ["--legacy-assume-role"] : []);
    const [right, wrong] = await Promise.all(
      ["good", "bad"].map(async (id) => {
        const pod = stage.pod({ role: "id-role", annotations: annotated(id) });
        return lastStatusOf(() => stage.get(pod, "id-role", { port }));
      }),
    );
    const byNode =
      right === wrong ? `${right} for both` : `${right} for the right one, ${wrong} for the other`;
    return `200 each its own, ${isSame ? "the same" : "others"} after the change, ${byNode}`;
  },
);
row(
  "C26",
  "an annotated name of the session, too long and with characters that STS does not take",
  {
    strict: "200 ns.POD",
    kube2iam: "200 ns.POD",
    kiam: `200 kiam-team-a-b${"x".repeat(51)}`,
  },
  async (stage) => {
    const annotations = { [SESSION_NAME]: `team/a b${"x".repeat(100)}` };
    const pod = stage.pod({ role: "app-role", annotations });
    const reply = await stage.read(pod, CREDENTIALS);
    const arn = await identityOf(stage.world, credentialsIn(reply));
    return `200 ${arn.split("/").at(-1)?.replace(pod.name, "POD")}`;
  },
);
row(
  "C27",
  "50 requests at once for a pod that never asked",
  "200, 1 session, 1 call",
  async (s) => {
    const pod = s.pod({ role: "app-role" });
    const keys = await Promise.all(Array.from({ length: 50 }, () => keyOf(s, pod)));
    return `200, ${new Set(keys).size} session, ${s.world.exchangesOf(pod.name)} call`;
  },
);
row(
  "C28",
  "the first of six hangs up while STS is asked",
  "200 for five, 1 call",
  async (stage) => {
    const { world } = stage;
    const pod = stage.pod({ role: "app-role" });
    const [[header, token] = ["", ""]] = Object.entries(await world.token(pod.address));
    world.aws.set({ faults: { latencyMs: 400, ...EXCHANGE } });
    try {
      const first = connect({ host: METADATA_IPV4, port: 80, localAddress: pod.address });
      first.write(
        `GET ${CREDENTIALS} HTTP/1.1\r\nHost: ${METADATA_IPV4}\r\n${header}: ${token}\r\n\r\n`,
      );
      await sleep(100);
      const others = Array.from({ length: 5 }, () => keyOf(stage, pod));
      first.destroy();
      await Promise.all(others);
    } finally {
      world.aws.set({ faults: {} });
    }
    return `200 for five, ${world.exchangesOf(pod.name)} call`;
  },
);
row(
  "C29",
  "STS denies: to those who ask at once and after, by one call",
  "403 AccessDenied, 1 call, CredentialError",
  async (stage) => {
    const pod = stage.pod({ role: "denied-role" });
    const ask = (): Promise<string> => stage.get(pod, "denied-role");
    const answers = [...(await Promise.all([ask(), ask(), ask()])), await ask(), await ask()];
    const starts = new Set(answers.map((answer) => answer.split(":", 1)[0]));
    const event = await stage.events(pod, 1);
    return `${[...starts].join(", ")}, ${stage.world.exchangesOf(pod.name)} call, ${event}`;
  },
);

row("C30", "the life that is left over 2 hours", "25 of 60 minutes or more", async (stage) => {
  const moved = await stage.moved();
  const lives: number[] = [];
  for (let minute = 0; minute < 120; minute += 2) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- time passes between
    const { Expiration } = credentialsIn(await moved.ask());
    lives.push((Date.parse(Expiration) - moved.now()) / 60_000);
    moved.advance(120_000);
  }
  assert.ok(Math.max(...lives) <= 60);
  const least = Math.min(...lives);
  return least >= 25 ? "25 of 60 minutes or more" : `${least} minutes`;
});
row(
  "C31",
  "STS is down: what is there serves on",
  "200 to the last minute, then 503",
  async (s) => {
    const moved = await s.moved();
    moved.world.aws.set({ faults: { serverErrors: 100_000 } });
    // What was under way may still come.
    let last = credentialsIn(await moved.ask());
    while (Date.parse(last.Expiration) - moved.now() > 60_000) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- time passes between
      last = credentialsIn(await moved.ask());
      moved.advance(60_000);
    }
    return `200 to the last minute, then ${(await moved.ask()).status}`;
  },
);
