import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import {
  createFakeCluster,
  jwksAnswer,
  servedKey,
  type KeyApiServer,
} from "../test/fakes/key-api-server.ts";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import {
  askServers,
  HOUR_MS,
  issuerConfigOf,
  keys,
  kidsOf,
  messages,
  temporaryFolder,
} from "../test/fakes/running-issuer.ts";
import { publishOnce } from "./main.ts";

const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const cluster = resources.use(await createFakeCluster());

async function publish(server: KeyApiServer, dir: string, ...more: readonly string[]) {
  const flags = [...(await askServers(cluster, server)), "--publish-dir", dir, "--once", ...more];
  const { log, lines } = createCollectedLog();
  await publishOnce(issuerConfigOf(...flags), { log });
  assert.ok(messages(lines).includes("Published once"));
  return kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8"));
}

describe("publishOnce", () => {
  it("adds keys to what is there and never takes one away by itself", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    assert.deepEqual(await publish(server, dir), ["a"]);
    server.jwks = jwksAnswer(keys.b);
    assert.deepEqual(await publish(server, dir), ["a", "b"]);
    assert.deepEqual(await publish(server, dir, "--retire-kid", "a"), ["b"]);
  });

  it("retires a key that is absent for 26 hours of hourly runs with a state", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, keys.b);
    const state = ["--state-file", join(dir, "state.json")];
    const flags = [
      ...(await askServers(cluster, server)),
      "--publish-dir",
      join(dir, "site"),
      ...state,
    ];
    const clock = createMovedClock();
    const publishHourly = async (hours: number): Promise<readonly string[]> => {
      for (let hour = 0; hour < hours; hour++) {
        clock.advance(HOUR_MS);
        const { log } = createCollectedLog();
        await publishOnce(issuerConfigOf(...flags, "--once"), { log, clock });
      }
      return kidsOf(await readFile(join(dir, "site/openid/v1/jwks"), "utf8"));
    };
    assert.deepEqual(await publishHourly(1), ["a", "b"]);
    server.jwks = jwksAnswer(keys.b);
    assert.deepEqual(await publishHourly(26), ["a", "b"]);
    assert.deepEqual(await publishHourly(1), ["b"]);
  });

  it("fails with the reason when no source answers, and leaves the directory as it is", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = { kind: "status", status: 401 };
    const expected = {
      code: "PUBLISH_REFUSED",
      message: /no source gives a key: https:\/\/127\.0\.0\.1:\d+: .* got 401/,
    };
    await assert.rejects(publish(server, dir), expected);
    assert.deepEqual(await readdir(dir), []);
    server.jwks = jwksAnswer(keys.a);
    await publish(server, dir);
    server.jwks = { kind: "status", status: 401 };
    await assert.rejects(publish(server, dir), expected);
    assert.deepEqual(kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8")), ["a"]);
  });

  it("fails at a conflict, after publishing what is beyond doubt", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, servedKey("a"), keys.b);
    await assert.rejects(publish(server, dir), {
      code: "KEY_CONFLICT",
      message: /different keys under a$/,
    });
    assert.deepEqual(kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8")), ["b"]);
  });

  it("fails when the directory is another issuer's", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    await publish(server, dir);
    const other = publish(server, dir, "--issuer", "https://oidc.example.com/other");
    await assert.rejects(other, { code: "PUBLISH_REFUSED" });
  });
});
