import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { createFakeCluster, jwksAnswer } from "../test/fakes/key-api-server.ts";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import {
  askServers,
  HOUR_MS,
  issuerConfigOf,
  keys,
  loopsOf,
  pollAgain,
  servedKids,
  startMovedIssuer,
  temporaryFolder,
} from "../test/fakes/running-issuer.ts";
import { startIssuer, type RunningIssuer } from "./main.ts";

const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const cluster = resources.use(await createFakeCluster());

describe("retirement", () => {
  it("removes a key after 26 hours of absence, also over a restart", async (t) => {
    const state = join(await temporaryFolder(cluster, t), "state.json");
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, keys.b);
    const flags = [...(await askServers(cluster, server)), "--state-file", state];
    const clock = createMovedClock();
    const { log, lines } = createCollectedLog();
    const run = async (hours: number, body: (issuer: RunningIssuer) => Promise<void>) => {
      await using issuer = await startIssuer(issuerConfigOf(...flags), { log, clock });
      await issuer.whenReady();
      for (let hour = 0; hour < hours; hour++)
        await pollAgain({ clock, loops: loopsOf(flags) }, HOUR_MS);
      await body(issuer);
    };
    await run(1, async (issuer) => assert.deepEqual(await servedKids(issuer), ["a", "b"]));
    server.jwks = jwksAnswer(keys.b);
    await run(13, async (issuer) => assert.deepEqual(await servedKids(issuer), ["a", "b"]));
    await run(12, async (issuer) => assert.deepEqual(await servedKids(issuer), ["a", "b"]));
    await run(1, async (issuer) => assert.deepEqual(await servedKids(issuer), ["b"]));
    const retired = lines.filter(({ msg }) => msg === "Retired a key");
    assert.deepEqual(
      retired.map(({ kid, why }) => [kid, why]),
      [["a", "absent everywhere"]],
    );
  });

  it("removes a key at once that the operator names, although it is still served", async () => {
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, keys.b);
    const flags = [...(await askServers(cluster, server)), "--retire-kid", "a"];
    await using running = await startMovedIssuer(...flags);
    await running.issuer.whenReady();
    assert.deepEqual(await servedKids(running.issuer), ["b"]);
  });
});
