import assert from "node:assert/strict";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startCluster, type Cluster } from "./cluster.ts";
import { NODE_ROLE } from "./nodes/metadata-stand-in.ts";
import { missingNodeParts } from "./nodes/missing-node-parts.ts";
import { remainsOf } from "./remains.ts";
import { createReadyPod, toolsPod } from "./running-pod.ts";

const skip = (await missingNodeParts(process.env)) ?? false;

describe("a cluster with two nodes and routed pods of both families", { skip }, () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster({ nodes: 2, cni: "ptp", ipv6: true });
  });
  after(() => cluster[Symbol.asyncDispose]());

  const podOn = async (nodeName: string, name: string): Promise<string> => {
    const pod = toolsPod(name, { nodeName });
    const { ip } = await createReadyPod(cluster.admin.core, "default", pod);
    return ip;
  };
  const inPod = (pod: string, ...command: readonly string[]): Promise<string> =>
    cluster.kubectl("exec", pod, "--", ...command);

  it("routes between pods of both, under their own addresses", async () => {
    const [a, b] = await Promise.all([podOn("node-0", "a"), podOn("node-1", "b")]);
    assert.ok(a.startsWith("10.244.0.") && b.startsWith("10.244.1."), `${a} ${b}`);
    await inPod("b", "sh", "-c", "echo reached >/index.html; httpd -h /");
    assert.equal(await inPod("a", "wget", "-q", "-O-", `http://${b}`), "reached\n");
    await cluster.kubectl("expose", "pod", "b", "--port=80");
    assert.equal(await inPod("a", "wget", "-q", "-O-", "http://b"), "reached\n");
    const routes = await cluster.nodes[0].run("ip", "route");
    assert.match(routes, new RegExp(`^${a.replaceAll(".", "\\.")} dev veth`, "m"));
  });

  it("routes between pods of both by IPv6 too, and to the metadata service", async () => {
    const addressesOf = async (name: string): Promise<readonly (string | undefined)[]> => {
      const { status } = await cluster.admin.core.readNamespacedPod({ namespace: "default", name });
      assert.equal(status?.podIPs?.[0]?.ip, status?.podIP);
      return [status?.podIPs?.[1]?.ip, ...(status?.hostIPs ?? []).map(({ ip }) => ip)];
    };
    const [[a = "", ...hostsOfA], [b = "", ...hostsOfB]] = await Promise.all([
      addressesOf("a"),
      addressesOf("b"),
    ]);
    assert.ok(a.startsWith("fd10:244::") && b.startsWith("fd10:244:0:1::"), `${a} ${b}`);
    assert.deepEqual(
      [hostsOfA, hostsOfB],
      [cluster.nodes[0].addresses, cluster.nodes[1]?.addresses],
    );
    assert.equal(await inPod("a", "wget", "-q", "-O-", `http://[${b}]`), "reached\n");
    const url = "http://[fd00:ec2::254]/latest/meta-data/iam/security-credentials/";
    assert.equal(await inPod("a", "wget", "-q", "-O-", url), NODE_ROLE);
    assert.equal(cluster.metadataCalls().at(-1)?.from, a);
  });

  it("goes on with one when the other's kubelet and containerd are killed", async () => {
    const [, second] = cluster.nodes;
    assert.ok(second);
    await second.kill();
    await assert.rejects(second.run("ctr", "--address=/run/containerd/containerd.sock", "version"));
    // What ran there runs on, and new pods start on the other.
    assert.equal(await inPod("a", "wget", "-q", "-O-", "http://b"), "reached\n");
    await podOn("node-0", "after");
  });
});

describe("a cluster that does not start", { skip }, () => {
  it("tells why, and leaves nothing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "irsa-failed-"));
    const env = { ...process.env, TMPDIR: folder };
    await assert.rejects(startCluster({ images: ["/no-such-image.tar"], env }), {
      message: /images import \/no-such-image\.tar\n.*no such file or directory/,
    });
    assert.deepEqual(await remainsOf(folder), []);
    await rmdir(folder);
  });
});
