import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { applyRules } from "../../metadata-shim/rules/apply-rules.ts";
import { findTargets } from "../../metadata-shim/rules/find-targets.ts";
import { removeRules } from "../../metadata-shim/rules/remove-rules.ts";
import { ruleSettingsOf } from "../../metadata-shim/rules/rules-config.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { until } from "../fakes/until.ts";
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

// Needs root, iptables in both back ends and conntrack. All happens in network namespaces of its own.
// The numbers N1 to N17 are those of the observations that the rules are made from.
const skip = missingTools(process.env) ?? false;
const IRSA = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const SHIM = "shim";
const METADATA = { ipv4: "http://169.254.169.254/", ipv6: "http://[fd00:ec2::254]/" };
const FAMILIES = ["ipv4", "ipv6"] as const;
const PODS = ["podA", "podB", "routedPod"] as const;
const HOST_IPS = `${NODE_IPS.ipv4},${NODE_IPS.ipv6}`;
type Backend = "nft" | "legacy";

/** `irsa shim rules …` in a namespace. */
function irsa(node: NetworkNamespace, ...args: readonly string[]): Promise<string> {
  return node.run(process.execPath, [IRSA, "shim", "rules", ...args]);
}

for (const backend of ["nft", "legacy"] as const satisfies readonly Backend[]) {
  describe(`the rules of the shim (${backend})`, { skip, timeout: 600_000 }, () => {
    const resources = new AsyncDisposableStack();
    let lab: MetadataLab;
    let node: NetworkNamespace;
    before(async () => {
      if (skip !== false) return;
      lab = resources.use(await startMetadataLab(backend));
      ({ node } = lab);
    });
    after(() => resources.disposeAsync());

    const iptables = (family: (typeof FAMILIES)[number], line: string): Promise<string> =>
      node.run(`${family === "ipv4" ? "iptables" : "ip6tables"}-${backend}`, line.split(" "));
    /** All rules of both families; counters and times left out. */
    const saved = async (): Promise<string> => {
      const texts = [
        await node.run(`iptables-${backend}-save`, []),
        await node.run(`ip6tables-${backend}-save`, []),
      ];
      return texts
        .join("")
        .replaceAll(/^#.*\n/gm, "")
        .replaceAll(/\[\d+:\d+\]/g, "[0:0]");
    };
    const flags = ["--host-ip", HOST_IPS, "--iptables-backend", backend];
    const command = [IRSA, "shim", "rules", "apply"];
    const applyByCommand = (): Promise<string> => irsa(node, "apply", ...flags);
    const removeByCommand = (): Promise<string> => irsa(node, "remove", "--host-ip", HOST_IPS);
    /** As the command does it, without the start of a program. */
    const apply = async (hostInterface = "", hostIp = HOST_IPS): Promise<void> => {
      const settings = ruleSettingsOf({ hostIp, appPort: SHIM_PORT, hostInterface });
      const { log } = createCollectedLog();
      for (const target of await findTargets(backend, node.attempt)) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- they share a lock
        await applyRules(target, settings, { run: node.attempt, log });
      }
    };

    beforeEach(async () => {
      if (skip === false) await node.listen(SHIM, SHIM_PORT);
    });
    afterEach(async () => {
      if (skip !== false) return;
      await node.close(SHIM);
      await removeRules({ hostIps: NODE_IPS, port: SHIM_PORT }, node.attempt);
    });

    for (const family of FAMILIES) {
      it(`${family}: without them every pod reaches the real service (N1)`, async () => {
        for (const pod of [...PODS, "node"] as const) {
          // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
          assert.equal((await lab[pod].get(METADATA[family])).name, REAL, pod);
        }
      });

      it(`${family}: lead every pod to the shim with its own address (N2, N16)`, async () => {
        await apply("br0,cali+,!eth0");
        for (const pod of PODS) {
          // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
          const answer = await lab[pod].get(METADATA[family]);
          assert.deepEqual(
            [pod, answer.name, addressOf(answer)],
            [pod, SHIM, POD_IPS[pod][family]],
          );
        }
      });

      it(`${family}: leave the node's own way to the real service (N5)`, async () => {
        await apply();
        assert.equal((await node.get(METADATA[family])).name, REAL);
      });

      it(`${family}: close when the DNAT is deleted by hand (N17)`, async () => {
        await apply();
        await iptables(family, "-t nat -F IRSA-METADATA");
        for (const pod of PODS) {
          // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
          assert.deepEqual(await lab[pod].get(METADATA[family]), { error: "ECONNREFUSED" }, pod);
        }
      });

      it(`${family}: close when the shim is gone`, async () => {
        await apply();
        await node.close(SHIM);
        for (const pod of PODS) {
          // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
          assert.deepEqual(await lab[pod].get(METADATA[family]), { error: "ECONNREFUSED" }, pod);
        }
        await node.listen(SHIM, SHIM_PORT);
        assert.equal((await lab.podA.get(METADATA[family])).name, SHIM);
      });

      it(`${family}: close every other port (N8)`, async () => {
        await apply();
        const url = METADATA[family].replace(/\/$/, ":8080/");
        assert.deepEqual(await lab.podA.get(url), { error: "ECONNREFUSED" });
      });

      it(`${family}: close when somebody else lets everything through before them`, async () => {
        await apply();
        await iptables(family, "-t nat -F IRSA-METADATA");
        await iptables(family, "-I FORWARD 1 -j ACCEPT");
        try {
          const answer = await lab.podA.get(METADATA[family], { timeoutMs: 1000 });
          assert.deepEqual(answer, { error: "ETIMEDOUT" });
        } finally {
          await iptables(family, "-D FORWARD 1");
        }
      });

      it(`${family}: are of no use to a connection from before without what closes (N3)`, async () => {
        const kept = { connection: `${family}-dnat-only` };
        assert.equal((await lab.podA.get(METADATA[family], kept)).name, REAL);
        const target = family === "ipv4" ? NODE_IPS.ipv4 : `[${NODE_IPS.ipv6}]`;
        const destination = METADATA[family].replaceAll(/^http:\/\/\[?|\]?\/$/g, "");
        const rule = `PREROUTING -p tcp -d ${destination} --dport 80 -j DNAT --to-destination ${target}:8181`;
        await iptables(family, `-t nat -A ${rule}`);
        try {
          assert.equal((await lab.podA.get(METADATA[family])).name, SHIM);
          assert.equal((await lab.podA.get(METADATA[family], kept)).name, REAL);
        } finally {
          await iptables(family, `-t nat -D ${rule}`);
        }
      });

      it(`${family}: end connections from before (N4)`, async () => {
        const kept = { connection: `${family}-whole` };
        assert.equal((await lab.podA.get(METADATA[family], kept)).name, REAL);
        await apply();
        const { error, name } = await lab.podA.get(METADATA[family], kept);
        assert.ok(error === "ECONNRESET" || name === SHIM, JSON.stringify({ error, name }));
        assert.equal((await lab.podA.get(METADATA[family], kept)).name, SHIM);
      });
    }

    it("leave no way round by another spelling of the address (N7)", async () => {
      await apply();
      for (const host of ["2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]"]) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
        assert.equal((await lab.podA.get(`http://${host}/`)).name, SHIM, host);
      }
    });

    it("let a pod reach the shim also by the node's address, as itself (N6)", async () => {
      await apply();
      const answer = await lab.podA.get(`http://${NODE_IPS.ipv4}:${SHIM_PORT}/`);
      assert.deepEqual([answer.name, addressOf(answer)], [SHIM, POD_IPS.podA.ipv4]);
    });

    for (const [interfaces, podA, routedPod] of [
      ["br0", SHIM, "ECONNREFUSED"],
      ["!br0", "ECONNREFUSED", SHIM],
      ["docker0", "ECONNREFUSED", "ECONNREFUSED"],
    ] as const) {
      it(`for ${interfaces} lead what comes in there, and close the rest`, async () => {
        await apply(interfaces);
        const answers = [lab.podA, lab.routedPod].map((pod) => pod.get(METADATA.ipv4));
        const [a, c] = await Promise.all(answers);
        assert.deepEqual([a?.name ?? a?.error, c?.name ?? c?.error], [podA, routedPod]);
      });
    }

    it("only close a family of which the node has no address", async () => {
      await apply("", NODE_IPS.ipv4);
      assert.equal((await lab.podA.get(METADATA.ipv4)).name, SHIM);
      assert.deepEqual(await lab.podA.get(METADATA.ipv6), { error: "ECONNREFUSED" });
    });

    it("are the same after a second time, and gone after their removal", async () => {
      const untouched = await saved();
      assert.match(await applyByCommand(), /Put in rules/);
      const first = await saved();
      assert.equal(await applyByCommand(), "");
      assert.equal(await saved(), first);
      assert.equal(first.match(/-j IRSA-METADATA$/gm)?.length, 6);
      assert.match(await removeByCommand(), /^Removed the rules of ipv4 \(\w+\), ipv6 \(\w+\)\n$/);
      assert.doesNotMatch(await saved(), /IRSA|169\.254|ec2/);
      assert.deepEqual(rulesOf(await saved()), rulesOf(untouched));
      assert.equal(await removeByCommand(), "There were no rules\n");
      assert.equal((await lab.podA.get(METADATA.ipv4)).name, REAL);
    });

    it("are those that show prints", async () => {
      const shown = await irsa(node, "show", "--host-ip", HOST_IPS, "--host-interface", "br0");
      const [ipv4 = "", ipv6 = ""] = shown.split("\n\n");
      await node.run(`iptables-${backend}-restore`, ["--noflush"], `${ipv4}\n`);
      await node.run(`ip6tables-${backend}-restore`, ["--noflush"], ipv6);
      const byHand = await saved();
      await apply("br0");
      assert.equal(await saved(), byHand);
    });

    it("adopt a rule of kube2iam that leads to the shim, and take it away with theirs", async () => {
      const rule = `PREROUTING -p tcp -d 169.254.169.254 --dport 80 -j DNAT --to-destination ${NODE_IPS.ipv4}:8181 -i br0`;
      await iptables("ipv4", `-t nat -A ${rule}`);
      assert.equal((await lab.podA.get(METADATA.ipv4)).name, SHIM);
      assert.match(await applyByCommand(), /Adopted a rule that leads to the shim/);
      assert.match(await saved(), /-A PREROUTING .*-i br0 .*--to-destination/);
      await removeByCommand();
      assert.doesNotMatch(await saved(), /169\.254/);
    });

    it("go before a rule that leads to another port", async () => {
      const rule = `PREROUTING -p tcp -d 169.254.169.254 --dport 80 -j DNAT --to-destination ${NODE_IPS.ipv4}:3100`;
      await iptables("ipv4", `-t nat -A ${rule}`);
      try {
        assert.match(await applyByCommand(), /Overruled a rule that leads elsewhere/);
        assert.equal((await lab.podA.get(METADATA.ipv4)).name, SHIM);
      } finally {
        await iptables("ipv4", `-t nat -D ${rule}`);
      }
    });

    it("are put back while they are watched, and stay when the watcher ends", async () => {
      const folder = await mkdtemp(join(tmpdir(), "shim-rules-"));
      const readyFile = join(folder, "ready");
      const watcher = node.spawn(process.execPath, [
        ...command,
        ...flags,
        "--watch",
        "--watch-interval-ms=200",
        `--ready-file=${readyFile}`,
      ]);
      let log = "";
      watcher.stdout?.on("data", (chunk: Buffer) => (log += chunk.toString()));
      try {
        await until("the rules are in place", () => existsSync(readyFile));
        const complete = await saved();
        for (const line of [
          "-t nat -F IRSA-METADATA",
          "-t nat -D PREROUTING -d 169.254.169.254 -p tcp --dport 80 -j IRSA-METADATA",
          "-t filter -F IRSA-METADATA",
          "-t filter -F FORWARD",
          "-t security -F FORWARD",
        ]) {
          // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
          await iptables("ipv4", line);
          // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
          await until(`${line} is undone`, async () => (await saved()) === complete);
        }
        assert.match(log, /Put back rules that were lost/);
        const exited = once(watcher, "exit");
        watcher.kill("SIGTERM");
        assert.deepEqual(await exited, [0, null]);
        assert.equal(await saved(), complete);
      } finally {
        watcher.kill("SIGKILL");
        await rm(folder, { recursive: true, force: true });
      }
    });

    it("tell why they cannot be put in, and end with 1", async () => {
      await assert.rejects(
        node.run("setpriv", [
          "--bounding-set",
          "-net_admin",
          process.execPath,
          ...command,
          ...flags,
        ]),
        /ended with 1: irsa: Cannot put in all rules: the log says why[^]*Cannot run iptables-\w+-\w+: .*(?:ermission|ermitted)/,
      );
      assert.doesNotMatch(await saved(), /IRSA/);
    });

    it("are found in the back end that kubelet uses", async () => {
      await iptables("ipv4", "-t mangle -N KUBE-IPTABLES-HINT");
      try {
        const log = await irsa(node, "apply", "--host-ip", HOST_IPS);
        assert.match(log, new RegExp(`"backend":"${backend}"`));
        assert.match(await saved(), /-A IRSA-METADATA/);
      } finally {
        await iptables("ipv4", "-t mangle -X KUBE-IPTABLES-HINT");
      }
    });

    if (backend === "legacy") {
      it("wait for whoever holds the lock of iptables", async () => {
        const holder = node.spawn("flock", ["/run/xtables.lock", "cat"]);
        try {
          await until("the lock is held", async () => {
            const test = ["--nonblock", "/run/xtables.lock", "true"];
            return node.run("flock", test).then(
              () => false,
              () => true,
            );
          });
          const applied = apply();
          const early = await Promise.race([applied.then(() => "applied"), delay(1500)]);
          assert.equal(early, undefined);
          holder.stdin?.end();
          await applied;
          assert.equal((await lab.podA.get(METADATA.ipv4)).name, SHIM);
        } finally {
          holder.kill();
        }
      });
    }
  });
}

function addressOf({ remoteAddress }: Answer): string | undefined {
  return remoteAddress?.replace("::ffff:", "");
}

/** Rules without the empty chains that iptables makes when it is first used. */
function rulesOf(saved: string): readonly string[] {
  return saved.split("\n").filter((line) => line.startsWith("-A"));
}

function delay(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
