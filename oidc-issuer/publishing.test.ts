import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { createFakeCluster, jwksAnswer } from "../test/fakes/key-api-server.ts";
import {
  askServers,
  issuerConfigOf,
  keys,
  kidsOf,
  messages,
  metric,
  pollAgain,
  servedKids,
  startMovedIssuer,
  temporaryFolder,
} from "../test/fakes/running-issuer.ts";
import { until } from "../test/fakes/until.ts";
import { publishOnce } from "./main.ts";

const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const cluster = resources.use(await createFakeCluster());

describe("publishing to a directory", () => {
  it("keeps it up to date while serving is off", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const flags = [...(await askServers(cluster, server)), "--publish-dir", dir, "--serve=false"];
    await using running = await startMovedIssuer(...flags);
    const { issuer, lines } = running;
    assert.equal(issuer.port, undefined);
    const published = () => messages(lines).filter((msg) => msg === "Published").length;
    await until("it is published", () => published() === 1);
    server.jwks = jwksAnswer(keys.a, keys.b);
    await pollAgain(running);
    await until("it is published again", () => published() === 2);
    const jwks = await readFile(join(dir, "openid/v1/jwks"), "utf8");
    assert.deepEqual(kidsOf(jwks), ["a", "b"]);
    const sample = "oidc_publish_last_success_timestamp_seconds";
    assert.equal(await metric(issuer, sample), running.clock.now() / 1000);
  });

  it("serves on while the directory cannot be written, and goes on when it can", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const flags = [...(await askServers(cluster, server)), "--publish-dir", dir];
    await using running = await startMovedIssuer(...flags);
    const { issuer, lines } = running;
    await until("it is published", () => messages(lines).includes("Published"));
    // A file where a folder is needed stops everybody.
    await rm(join(dir, "openid"), { recursive: true });
    await writeFile(join(dir, "openid"), "");
    server.jwks = jwksAnswer(keys.a, keys.b);
    await pollAgain(running);
    await until("it has failed", () => messages(lines).includes("Could not publish"));
    assert.deepEqual(await servedKids(issuer), ["a", "b"]);
    assert.ok(((await metric(issuer, "oidc_publish_errors_total")) ?? 0) > 0);

    await rm(join(dir, "openid"));
    await pollAgain(running);
    const published = () => messages(lines).filter((msg) => msg === "Published").length;
    await until("it is published again", () => published() === 2);
    assert.deepEqual(kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8")), ["a", "b"]);
  });

  it("starts with the keys that are published already", async (t) => {
    const dir = await temporaryFolder(cluster, t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const flags = [...(await askServers(cluster, server)), "--publish-dir", dir];
    await publishOnce(issuerConfigOf(...flags, "--once"), { log: createCollectedLog().log });
    server.jwks = { kind: "close" };
    await using running = await startMovedIssuer(...flags);
    assert.deepEqual(await servedKids(running.issuer), ["a"]);
  });
});
