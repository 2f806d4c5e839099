import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  startCredentialStage,
  TOKEN_VOLUME,
  type StagePod,
} from "../../test/fakes/credential-stage.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { until } from "../../test/fakes/until.ts";
import type { Credentials } from "./credentials.ts";
import { kubeletTokenSource } from "./kubelet-token.ts";

const MINUTE_MS = 60_000;
const STEP_MS = 10_000;
const END_MS = 6 * 60 * MINUTE_MS;
const PODS_PER_SDK = 4;

/** SDKs by the life that they renew at: each looks at it before each call of AWS. */
const SDKS = {
  "s3fs, at 20 minutes": 20 * MINUTE_MS,
  "botocore, at 15 minutes": 15 * MINUTE_MS,
  "SDK for JavaScript v2, at 15 seconds": 15_000,
} as const;
type Sdk = keyof typeof SDKS;
const NAMES: readonly Sdk[] = [
  "s3fs, at 20 minutes",
  "botocore, at 15 minutes",
  "SDK for JavaScript v2, at 15 seconds",
];

interface Application {
  readonly sdk: Sdk;
  readonly pod: StagePod;
  readonly startsAtMs: number;
  tokenAtMs: number;
  credentials: Credentials | undefined;
  readonly fetchedAtMs: number[];
  shortestMs: number;
  failures: number;
}

// Applications of three kinds call AWS every ten seconds for six hours by a moved clock; STS is the
// stand-in, over real sockets.
const clock = createMovedClock(Math.floor(Date.now() / 1000) * 1000);
const beginMs = clock.now();
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const stage = resources.use(await startCredentialStage(clock));

describe("six hours", () => {
  it("give every SDK 25 minutes at least, with few calls of STS", async (t) => {
    let [begun, ended] = [0, 0];
    let seed = 1;
    const kubelet = kubeletTokenSource({ kubeletRoot: stage.kubelet.root, ...TOKEN_VOLUME });
    using credentials = stage.start({
      tokenSources: [
        (request) => {
          begun += 1;
          return kubelet(request);
        },
      ],
      stsTimeoutMs: 60_000,
      random: () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647,
      onIssued: () => (ended += 1),
      onFailed: () => (ended += 1),
    });
    const applications = NAMES.flatMap((sdk, kind) =>
      Array.from({ length: PODS_PER_SDK }, (_, i) => ({
        sdk,
        pod: stage.newPod(),
        startsAtMs: beginMs + (kind * PODS_PER_SDK + i) * 3 * MINUTE_MS,
        tokenAtMs: 0,
        credentials: undefined,
        fetchedAtMs: [],
        shortestMs: Infinity,
        failures: 0,
      })),
    );

    async function callAws(application: Application): Promise<void> {
      const expiresAtMs = application.credentials?.expiresAtMs ?? 0;
      if (expiresAtMs - clock.now() > SDKS[application.sdk]) return;
      application.fetchedAtMs.push(clock.now());
      const result = await credentials.obtain(stage.wanted(application.pod));
      if (result.status === "failed") {
        application.failures += 1;
        return;
      }
      application.credentials = result.credentials;
      const lifeMs = result.credentials.expiresAtMs - clock.now();
      application.shortestMs = Math.min(application.shortestMs, lifeMs);
    }

    while (clock.now() - beginMs < END_MS) {
      for (const application of applications) {
        if (clock.now() < application.startsAtMs) continue;
        // kubelet renews a token at four fifths of its life.
        if (clock.now() - application.tokenAtMs > 48 * MINUTE_MS) {
          application.tokenAtMs = clock.now();
          // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
          await stage.writeToken(application.pod);
        }
        // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
        await callAws(application);
      }
      clock.advance(STEP_MS);
      // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
      await until("no call is under way", () => begun === ended);
    }

    const exchanges = stage.exchanges();
    assert.ok(exchanges.every(({ code }) => code === "OK"));
    t.diagnostic(`STS calls: ${exchanges.length} for ${applications.length} pods in 6 hours`);
    for (const sdk of NAMES) {
      const own = applications.filter((application) => application.sdk === sdk);
      const fetches = own.map(({ fetchedAtMs }) => fetchedAtMs.length);
      const shortestMs = Math.min(...own.map((application) => application.shortestMs));
      const gapsMs = own.flatMap(({ fetchedAtMs }) =>
        fetchedAtMs.slice(1).map((atMs, i) => atMs - (fetchedAtMs[i] ?? 0)),
      );
      t.diagnostic(
        `${sdk}: ${Math.max(...fetches)} fetches a pod at most, ${(shortestMs / MINUTE_MS).toFixed(1)} min shortest life handed out`,
      );
      assert.ok(shortestMs >= 25 * MINUTE_MS, `${sdk}: ${shortestMs}`);
      // No SDK asks again for what it has just got.
      assert.ok(Math.min(...gapsMs) >= 5 * MINUTE_MS, `${sdk}: ${Math.min(...gapsMs)}`);
      assert.deepEqual([...new Set(own.map(({ failures }) => failures))], [0]);
    }
    // A session of an hour that is renewed at two fifths of its life at the earliest.
    assert.ok(exchanges.length <= (applications.length * END_MS) / (24 * MINUTE_MS));
  });
});
