import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { NODE_IPS, startMetadataLab } from "../../network/metadata-lab.ts";
import type { NetworkNamespace } from "../../network/network-namespace.ts";
import type { RowResult } from "../conformance-row.ts";
import { METADATA_IPV4, METADATA_IPV6 } from "../shim-world.ts";

/** All rules of both families; counters and times left out. */
async function savedRules(node: NetworkNamespace): Promise<string> {
  const programs = ["iptables-nft-save", "ip6tables-nft-save"];
  const texts = await Promise.all(programs.map((program) => node.run(program, [])));
  return texts
    .join("")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\[\d+:\d+\]/g, "[0:0]");
}

/** Rows about rules of the network, which need pods behind a node of their own. */
export async function checkNetworkRuleRows(): Promise<readonly RowResult[]> {
  await using lab = await startMetadataLab("nft");
  const { node, podA } = lab;
  const irsa = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));
  const ips = `${NODE_IPS.ipv4},${NODE_IPS.ipv6}`;
  const apply = (): Promise<string> =>
    node.run(process.execPath, [
      irsa,
      ..."shim rules apply --iptables-backend nft".split(" "),
      "--host-ip",
      ips,
    ]);
  const urls = [`http://${METADATA_IPV4}/`, `http://[${METADATA_IPV6}]/`];
  const results: RowResult[] = [];
  const check = async (number: number, title: string, run: () => Promise<void>): Promise<void> => {
    let problem: string | undefined;
    try {
      await run();
    } catch (err) {
      problem = String(err);
    }
    results.push({ number, title, problem });
  };
  const kept = { connection: "kept" };
  await node.listen("shim", 8181);
  assert.equal((await podA.get(urls[0] ?? "", kept)).name, "real");
  await check(98, "rules that are put in twice are there once", async () => {
    await apply();
    const once = await savedRules(node);
    await apply();
    assert.equal(await savedRules(node), once);
    assert.equal(once.match(/-j DNAT/g)?.length, 2);
  });
  await check(99, "with rules only the shim is reached, by neither family", async () => {
    for (const url of urls) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal((await podA.get(url)).name, "shim", url);
    }
    assert.notEqual((await podA.get(urls[0] ?? "", kept)).name, "real");
    await node.close("shim");
    for (const url of urls) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal((await podA.get(url)).name, undefined, url);
    }
    await node.run("iptables-nft", ["-t", "nat", "-F", "IRSA-METADATA"]);
    assert.equal((await podA.get(urls[0] ?? "")).name, undefined);
  });
  return results;
}
