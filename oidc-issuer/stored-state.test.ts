import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createFakeCluster, jwksAnswer } from "../test/fakes/key-api-server.ts";
import {
  askServers,
  keys,
  messages,
  metric,
  pollAgain,
  servedKids,
  startMovedIssuer,
  temporaryFolder,
} from "../test/fakes/running-issuer.ts";
import { until } from "../test/fakes/until.ts";

const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const cluster = resources.use(await createFakeCluster());

describe("the stored state", () => {
  it("does not stop the issuer when it is corrupt", async (t) => {
    const folder = await temporaryFolder(cluster, t);
    const state = join(folder, "state.json");
    await writeFile(state, '{"version":1,"keys":[');
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    {
      await using running = await startMovedIssuer(
        ...(await askServers(cluster, server)),
        "--state-file",
        state,
      );
      await running.issuer.whenReady();
      assert.deepEqual(await servedKids(running.issuer), ["a"]);
      assert.ok(messages(running.lines).includes("Put the unusable state file aside"));
    }
    assert.equal((await readdir(folder)).length, 2);
    assert.match(await readFile(state, "utf8"), /"kid": "a"/);
  });

  it("is shared by replicas through a ConfigMap", async () => {
    await using one = await cluster.startServer();
    await using two = await cluster.startServer();
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    const kubeconfig = ["--kubeconfig", await cluster.kubeconfigFor(one)];
    const state = ["--state-configmap", "irsa-system/keys"];
    const name = ["--api-server-name", "kubernetes.default.svc"];
    {
      await using first = await startMovedIssuer(
        ...kubeconfig,
        ...state,
        ...name,
        "--api-server",
        one.url,
      );
      await using second = await startMovedIssuer(
        ...kubeconfig,
        ...state,
        ...name,
        "--api-server",
        two.url,
      );
      for (const { lines } of [first, second]) {
        await until("its key has come", () => messages(lines).includes("Added keys"));
      }
    }
    one.jwks = { kind: "close" };
    await using third = await startMovedIssuer(
      ...kubeconfig,
      ...state,
      ...name,
      "--api-server",
      one.url,
    );
    assert.deepEqual(await servedKids(third.issuer), ["a", "b"]);
  });

  it("is not needed: without it the issuer serves and says so", async () => {
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    server.configMapFaults.push(
      ...Array.from({ length: 20 }, () => ({ kind: "status", status: 403 }) as const),
    );
    const flags = [...(await askServers(cluster, server)), "--state-configmap", "irsa-system/keys"];
    await using running = await startMovedIssuer(...flags);
    await running.issuer.whenReady();
    await pollAgain(running);
    assert.deepEqual(await servedKids(running.issuer), ["a"]);
    const told = messages(running.lines);
    assert.ok(told.includes("Could not read the last good keys"));
    assert.equal(told.filter((msg) => msg === "Could not save the keys").length, 1);
    const failures = (await metric(
      running.issuer,
      'oidc_state_errors_total{operation="save"}',
    )) as number;
    assert.ok(failures >= 2);
  });
});
