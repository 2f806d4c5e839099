import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { createProcAttestor } from "../../metadata-shim/caller/proc-attestor.ts";
import type { Flow } from "../../metadata-shim/caller/socket-table.ts";
import { applyRules } from "../../metadata-shim/rules/apply-rules.ts";
import { findTargets } from "../../metadata-shim/rules/find-targets.ts";
import { removeRules } from "../../metadata-shim/rules/remove-rules.ts";
import { ruleSettingsOf } from "../../metadata-shim/rules/rules-config.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { createProcFolder, type ProcFolder } from "../fakes/proc-folder.ts";
import {
  NODE_IPS,
  POD_IPS,
  REAL,
  SHIM_PORT,
  startMetadataLab,
  type MetadataLab,
} from "../network/metadata-lab.ts";
import { missingTools } from "../network/missing-tools.ts";
import type { Answer, NetworkNamespace } from "../network/network-namespace.ts";

// Needs root and iptables. All happens in network namespaces of its own. What pods can do that take
// the address of another, and what the kernel says of them; the numbers are those of the observations
// in docs/shim-rules.md.
const skip = missingTools(process.env) ?? false;
const METADATA = "http://169.254.169.254/";
const SHIM = "shim";
const A_UID = "aaaaaaaa-0000-4000-8000-000000000001";
const B_UID = "bbbbbbbb-0000-4000-8000-000000000002";
const A = POD_IPS.podA.ipv4;
const AS_A = { from: A, timeoutMs: 1000 };

describe("a pod that takes the address of another", { skip, timeout: 300_000 }, () => {
  const resources = new AsyncDisposableStack();
  let lab: MetadataLab;
  let proc: ProcFolder;

  before(async () => {
    if (skip !== false) return;
    lab = resources.use(await startMetadataLab("nft"));
    proc = resources.use(await createProcFolder());
  });
  after(() => resources.disposeAsync());

  beforeEach(async () => {
    if (skip !== false) return;
    const { node, podA, podB } = lab;
    await node.listen(SHIM, SHIM_PORT);
    const hostIp = `${NODE_IPS.ipv4},${NODE_IPS.ipv6}`;
    const settings = ruleSettingsOf({ hostIp, appPort: SHIM_PORT, hostInterface: "" });
    for (const target of await findTargets("nft", node.attempt)) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share a lock
      await applyRules(target, settings, { run: node.attempt, log: createCollectedLog().log });
    }
    await proc.show(podA.pid, `/kubepods/burstable/pod${A_UID}/sandbox`);
    await proc.show(podB.pid, `/kubepods/burstable/pod${B_UID}/sandbox`);
  });
  afterEach(async () => {
    if (skip !== false) return;
    await lab.node.close(SHIM);
    await removeRules({ hostIps: NODE_IPS, port: SHIM_PORT }, lab.node.attempt);
    await proc.hide(lab.podA.pid);
    await proc.hide(lab.podB.pid);
  });

  /** While a pod has the address of pod A as well as its own. */
  async function withAddressOfA(pod: NetworkNamespace, act: () => Promise<void>): Promise<void> {
    // What it needs of its gateway it knows before, and asks nothing in another's name.
    assert.equal((await pod.get(METADATA)).name, SHIM);
    await ip(pod, `addr add ${A}/32 dev eth0`);
    try {
      await act();
    } finally {
      await ip(pod, `addr del ${A}/32 dev eth0`);
      await ip(lab.node, "neigh flush all");
    }
  }

  /** What the kernel says: is it pod A, is it pod B? */
  async function attested({ remotePort = 0 }: Answer): Promise<readonly string[]> {
    const attestor = createProcAttestor(proc.path);
    const remotes = [{ address: "169.254.169.254", port: 80 }];
    const flow: Flow = { localAddress: A, localPort: remotePort, remotes };
    return [await attestor.attest(A_UID, flow), await attestor.attest(B_UID, flow)];
  }

  it("gets no answer on a bridge while the node knows where the other is (N9)", async () => {
    await withAddressOfA(lab.podB, async () => {
      assert.equal(addressOf(await lab.podA.get(METADATA)), A);
      assert.deepEqual(await lab.podB.get(METADATA, AS_A), { error: "ETIMEDOUT" });
    });
  });

  it("is taken for it on a bridge once it speaks first, and the kernel knows better (N10)", async () => {
    await withAddressOfA(lab.podB, async () => {
      await ip(lab.node, "neigh flush dev br0");
      await ip(lab.podB, "neigh flush dev eth0");
      const answer = await lab.podB.get(METADATA, { ...AS_A, connection: "N10" });
      assert.deepEqual([answer.name, addressOf(answer)], [SHIM, A]);
      assert.deepEqual(await attested(answer), ["foreign", "owned"]);
    });
  });

  it("is taken for one that is gone, and the kernel knows better (N11, N19)", async () => {
    const { node, podA, podB } = lab;
    await withAddressOfA(podB, async () => {
      await ip(node, "link set vethA down");
      try {
        await ip(node, "neigh flush dev br0");
        await ip(podB, "neigh flush dev eth0");
        const answer = await podB.get(METADATA, { ...AS_A, connection: "N11" });
        assert.deepEqual([answer.name, addressOf(answer)], [SHIM, A]);
        assert.deepEqual(await attested(answer), ["foreign", "owned"]);
        await proc.hide(podA.pid);
        assert.deepEqual(await attested(answer), ["foreign", "owned"]);
      } finally {
        await ip(node, "link set vethA up");
      }
    });
  });

  for (const [rpFilter, title, arrives] of [
    [0, "speaks without hearing on a routed link without rp_filter (N12)", true],
    [1, "is not let through on a routed link with rp_filter (N13)", false],
  ] as const) {
    it(title, async () => {
      const { node, routedPod } = lab;
      const rule = `INPUT -i cali1 -s ${A} -p tcp --dport ${SHIM_PORT}`;
      await node.run("sysctl", ["-q", "-w", "net.ipv4.conf.all.rp_filter=0"]);
      await node.run("sysctl", ["-q", "-w", `net.ipv4.conf.cali1.rp_filter=${rpFilter}`]);
      await node.run("iptables-nft", `-I ${rule}`.split(" "));
      try {
        await withAddressOfA(routedPod, async () => {
          assert.deepEqual(await routedPod.get(METADATA, AS_A), { error: "ETIMEDOUT" });
        });
        const counted = await node.run("iptables-nft", ["-L", "INPUT", "-v", "-x", "-n"]);
        const [, packets = ""] = /^\s*(\d+) .*cali1/m.exec(counted) ?? [];
        assert.equal(Number(packets) > 0, arrives, counted);
      } finally {
        await node.run("iptables-nft", `-D ${rule}`.split(" "));
      }
    });
  }
});

describe("other ways to lead pods to the shim", { skip, timeout: 300_000 }, () => {
  const resources = new AsyncDisposableStack();
  let lab: MetadataLab;
  before(async () => {
    if (skip === false) lab = resources.use(await startMetadataLab("nft"));
  });
  after(() => resources.disposeAsync());

  it("a REDIRECT needs an address on the link that they come in by, so it is not used (N15)", async () => {
    const { node, podA, routedPod } = lab;
    const rule =
      "PREROUTING -p tcp -d 169.254.169.254 --dport 80 -j REDIRECT --to-ports 8181".split(" ");
    await node.listen(SHIM, SHIM_PORT);
    await node.run("iptables-nft", ["-t", "nat", "-A", ...rule]);
    try {
      const { name, remoteAddress } = await podA.get(METADATA);
      assert.deepEqual([name, remoteAddress], [SHIM, `::ffff:${POD_IPS.podA.ipv4}`]);
      assert.deepEqual(await routedPod.get(METADATA, { timeoutMs: 1000 }), { error: "ETIMEDOUT" });
      assert.equal((await node.get(METADATA)).name, REAL);
    } finally {
      await node.run("iptables-nft", ["-t", "nat", "-D", ...rule]);
      await node.close(SHIM);
    }
  });

  it("the address on the node's loopback catches the node as well, so it is not used (N18)", async () => {
    const { node, podA } = lab;
    await node.run("ip", "addr add 169.254.169.254/32 dev lo".split(" "));
    await node.listen(SHIM, 80);
    try {
      const { name, remoteAddress } = await podA.get(METADATA);
      assert.deepEqual([name, remoteAddress], [SHIM, `::ffff:${POD_IPS.podA.ipv4}`]);
      const own = await node.get(METADATA);
      assert.deepEqual([own.name, own.remoteAddress], [SHIM, "::ffff:169.254.169.254"]);
    } finally {
      await node.close(SHIM);
      await node.run("ip", "addr del 169.254.169.254/32 dev lo".split(" "));
    }
    assert.equal((await podA.get(METADATA)).name, REAL);
  });
});

function ip(namespace: NetworkNamespace, line: string): Promise<string> {
  return namespace.run("ip", line.split(" "));
}

function addressOf({ remoteAddress }: Answer): string | undefined {
  return remoteAddress?.replace("::ffff:", "");
}
