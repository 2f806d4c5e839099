import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  const apply = (path = process.env["PATH"] ?? ""): Promise<string> =>
    node.run("env", [
      `PATH=${path}`,
      process.execPath,
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
  await check(
    98,
    "rules: twice are once, what closes goes in first, removed on demand",
    async () => {
      await using texts = await watchRestores();
      const untouched = await savedRules(node);
      await apply(texts.path);
      const once = await savedRules(node);
      const told = await texts.read();
      assert.deepEqual(told.map(({ program }) => program).toSorted(), [
        "ip6tables-nft-restore",
        "iptables-nft-restore",
      ]);
      for (const { program, text } of told) {
        const [reject, drop, dnat] = ["REJECT", "DROP", "DNAT"].map((target) =>
          text.search(new RegExp(`^-A IRSA-METADATA.* -j ${target}\\b`, "m")),
        );
        // Each table is a transaction of its own, in the order of the text.
        const commit = text.indexOf("COMMIT", reject);
        assert.ok(reject !== undefined && drop !== undefined && dnat !== undefined, program);
        assert.ok(0 <= reject && reject < drop && drop < dnat && commit < dnat, text);
      }
      await apply(texts.path);
      assert.equal(await savedRules(node), once);
      assert.equal((await texts.read()).length, 2);
      assert.equal(once.match(/-j DNAT/g)?.length, 2);
      await node.run(process.execPath, [irsa, ..."shim rules remove".split(" ")]);
      assert.deepEqual(ownLines(await savedRules(node)), []);
      assert.deepEqual(rulesOf(await savedRules(node)), rulesOf(untouched));
      await apply();
      assert.equal(await savedRules(node), once);
    },
  );
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

function ownLines(saved: string): readonly string[] {
  return saved.split("\n").filter((line) => /IRSA|169\.254|ec2/.test(line));
}

/** Without the empty chains that iptables makes when it is first used. */
function rulesOf(saved: string): readonly string[] {
  return saved.split("\n").filter((line) => line.startsWith("-A"));
}

interface Restores extends AsyncDisposable {
  /** For who is to be watched. */
  readonly path: string;
  /** What the programs were told so far. */
  read(): Promise<readonly { readonly program: string; readonly text: string }[]>;
}

/** Programs that stand before those that put rules in, and write down what these are told. */
async function watchRestores(): Promise<Restores> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-restores-"));
  const realPath = process.env["PATH"] ?? "";
  for (const name of ["iptables-nft-restore", "ip6tables-nft-restore"]) {
    const script = `#!/bin/sh\ntee "$(mktemp ${folder}/${name}.XXXXXX)" | env PATH='${realPath}' ${name} "$@"\n`;
    // oxlint-disable-next-line eslint/no-await-in-loop -- two
    await writeFile(join(folder, name), script, { mode: 0o755 });
  }
  return {
    path: `${folder}:${realPath}`,
    async read() {
      const names = (await readdir(folder)).filter((name) => name.includes("."));
      return Promise.all(
        names.map(async (name) => ({
          program: name.slice(0, name.indexOf(".")),
          text: await readFile(join(folder, name), "utf8"),
        })),
      );
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
