import { access, cp, realpath, symlink } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { copyInto, librariesOf } from "./local-base.ts";

const SBIN = "/usr/sbin";
/** The programs of iptables are links to one of these. */
const BACKENDS = ["nft", "legacy"] as const;
const FAMILIES = ["iptables", "ip6tables"] as const;
const VERBS = ["", "-save", "-restore"] as const;
const OTHERS = ["conntrack", "ip"] as const;

/**
 * Copies into a root file system what `irsa shim rules` runs, from this machine, as the packages of
 * Dockerfile.iptables have it: iptables in both back ends, conntrack and ip.
 */
export async function copyIptables(rootfs: string): Promise<void> {
  const backends = BACKENDS.map((backend) => `xtables-${backend}-multi`);
  const programs = await Promise.all([...backends, ...OTHERS].map(findProgram));
  for (const [i, name] of [...backends, ...OTHERS].entries()) {
    await copyInto(rootfs, programs[i] ?? "", join(SBIN, name));
  }
  const libraries = await librariesOf(...programs);
  for (const library of libraries) await copyInto(rootfs, library, library);
  const xtables = libraries.find((library) => library.includes("/libxtables."));
  if (xtables === undefined) throw new Error("Expected iptables to be linked with libxtables");
  // Matches and targets are libraries that it loads by name.
  const plugins = join(dirname(await realpath(xtables)), "xtables");
  await cp(plugins, join(rootfs, plugins), { recursive: true, dereference: true });
  for (const backend of BACKENDS) {
    for (const family of FAMILIES) {
      for (const verb of VERBS) {
        const link = join(rootfs, SBIN, `${family}-${backend}${verb}`);
        await symlink(`xtables-${backend}-multi`, link);
      }
    }
  }
}

async function findProgram(name: string): Promise<string> {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), SBIN];
  for (const folder of folders) {
    const path = join(folder, name);
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return realpath(path);
  }
  throw new Error(`Cannot find ${name}: expected Debian's iptables, conntrack and iproute2`);
}
