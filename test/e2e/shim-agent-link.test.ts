import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  AGENT_LINK,
  ensureAgentLink,
  removeAgentLink,
} from "../../metadata-shim/container-credentials/agent-link.ts";
import { missingTools } from "../network/missing-tools.ts";
import { createNamespace, type NetworkNamespace } from "../network/network-namespace.ts";

// Needs root. All happens in a network namespace of its own.
const skip = missingTools(process.env) ?? false;
const IRSA = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const FAMILIES = ["ipv4", "ipv6"] as const;
const URLS = ["http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1/credentials"];

describe("the link of container credentials", { skip, timeout: 120_000 }, () => {
  let node: NetworkNamespace;
  let pod: NetworkNamespace;
  before(async () => {
    if (skip !== false) return;
    [node, pod] = await Promise.all([createNamespace("node"), createNamespace("pod")]);
    const inPod = [
      "link add eth0 type veth peer name pod0 netns",
      "addr add 10.1.0.2/24 dev eth0",
      "addr add fd01::2/64 dev eth0 nodad",
      "link set eth0 up",
    ];
    const [link = "", ...rest] = inPod;
    await pod.run("ip", ["-batch", "-"], [`${link} ${node.pid}`, ...rest].join("\n"));
    const inNode = [
      "addr add 10.1.0.1/24 dev pod0",
      "addr add fd01::1/64 dev pod0 nodad",
      "link set pod0 up",
    ];
    await node.run("ip", ["-batch", "-"], inNode.join("\n"));
    const routes = ["route add default via 10.1.0.1", "route add default via fd01::1"];
    await pod.run("ip", ["-batch", "-"], routes.join("\n"));
    await node.listen("agent", 80);
  });
  after(async () => {
    await node?.[Symbol.asyncDispose]();
    await pod?.[Symbol.asyncDispose]();
  });

  it("leads pods to this node, by both families", async () => {
    for (const url of URLS) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal((await pod.get(url)).name, undefined, url);
    }
    assert.equal(await ensureAgentLink(FAMILIES, node.attempt), true);
    for (const url of URLS) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal((await pod.get(url)).name, "agent", url);
    }
  });

  it("is made once, and what is lost is made again", async () => {
    assert.equal(await ensureAgentLink(FAMILIES, node.attempt), false);
    await node.run("ip", ["address", "del", "169.254.170.23/32", "dev", AGENT_LINK]);
    await node.run("ip", ["link", "set", AGENT_LINK, "down"]);
    assert.equal(await ensureAgentLink(FAMILIES, node.attempt), true);
    assert.equal((await pod.get(URLS[0] ?? "")).name, "agent");
    assert.equal((await pod.get(URLS[1] ?? "")).name, "agent");
  });

  it("is not made where AWS's own agent has the address", async () => {
    assert.equal(await removeAgentLink(node.attempt), true);
    assert.equal(await removeAgentLink(node.attempt), false);
    await node.run("ip", ["link", "add", "pod-id-link0", "type", "bridge"]);
    await node.run("ip", ["address", "add", "169.254.170.23/32", "dev", "pod-id-link0"]);
    await assert.rejects(ensureAgentLink(FAMILIES, node.attempt), {
      code: "RULES_FAILED",
      message: /pod-id-link0 has 169\.254\.170\.23\/32 already/,
    });
    await node.run("ip", ["link", "delete", "pod-id-link0"]);
  });

  it("comes with irsa shim rules apply, and goes with remove", async () => {
    const flags = ["--host-ip=10.1.0.1", "--iptables-backend=nft", "--container-credentials"];
    await node.run(process.execPath, [IRSA, "shim", "rules", "apply", ...flags]);
    assert.equal((await pod.get(URLS[0] ?? "")).name, "agent");
    const told = await node.run(process.execPath, [IRSA, "shim", "rules", "remove"]);
    assert.match(told, /Removed the link irsa-agent0/);
    assert.equal((await pod.get(URLS[0] ?? "")).name, undefined);
  });
});
