import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { listen } from "../../lib/http.ts";
import { ask } from "../../test/fakes/ask.ts";
import { withLegacyHealth } from "./legacy-health.ts";

async function statusesOf(
  profile: "kube2iam" | "kiam",
  host: string,
): Promise<Readonly<Record<string, string>>> {
  const app = withLegacyHealth((_req, res) => res.writeHead(404).end("app"), {
    profile,
    hostIp: "10.0.0.1",
    instanceId: "node-1",
    operations: (_req, res) => res.end("metrics"),
  });
  await using server = await listen(app, { port: 0, host: "127.0.0.1", drainMs: 100 });
  const paths = ["/healthz", "/ping", "/health?deep=1", "/metrics", "/latest"];
  const replies = await Promise.all(
    paths.map((path) => ask({ host: "127.0.0.1", port: server.port, path, headers: { host } })),
  );
  return Object.fromEntries(paths.map((path, i) => [path, replies[i]?.body ?? ""]));
}

describe("health paths of the programs that came before", () => {
  it("are kube2iam's", async () => {
    assert.deepEqual(await statusesOf("kube2iam", "10.0.0.1:8181"), {
      "/healthz": '{"hostIP":"10.0.0.1","instanceId":"node-1"}\n',
      "/ping": "app",
      "/health?deep=1": "app",
      "/metrics": "metrics",
      "/latest": "app",
    });
  });

  it("are kiam's", async () => {
    assert.deepEqual(await statusesOf("kiam", "10.0.0.1:8181"), {
      "/healthz": "app",
      "/ping": "pong",
      "/health?deep=1": "node-1",
      "/metrics": "metrics",
      "/latest": "app",
    });
  });

  for (const host of ["169.254.169.254", "169.254.169.254:80", "[fd00:ec2::254]"]) {
    it(`are not there for who asks ${host}`, async () => {
      const bodies = Object.values(await statusesOf("kube2iam", host));
      assert.deepEqual(new Set(bodies), new Set(["app"]));
    });
  }
});
