import { access, cp, realpath, symlink, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { copyInto, librariesOf } from "./local-base.ts";

const SBIN = "/usr/sbin";
/** The programs of iptables are links to one of these. */
const BACKENDS = ["nft", "legacy"] as const;
const FAMILIES = ["iptables", "ip6tables"] as const;
const VERBS = ["", "-save", "-restore"] as const;
const OTHERS = ["conntrack", "ip"] as const;

/**
 * Writes the build context of a base image that has beside another base what `irsa shim rules` runs, from
 * this machine, as the packages of Dockerfile.iptables have it: iptables in both back ends, conntrack and
 * ip.
 *
 * @param folder Where to; it must exist.
 * @param base That with Node, of this machine too.
 */
export async function writeIptablesBase(folder: string, base: string): Promise<void> {
  const rootfs = join(folder, "rootfs");
  const programs: string[] = [];
  for (const name of [...BACKENDS.map(multiOf), ...OTHERS]) {
    const program = await findProgram(name);
    await copyInto(rootfs, program, join(SBIN, name));
    programs.push(program);
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
        await symlink(multiOf(backend), link);
      }
    }
  }
  await writeFile(join(folder, "Dockerfile"), `FROM ${base}\nCOPY rootfs/ /\n`);
}

function multiOf(backend: (typeof BACKENDS)[number]): string {
  return `xtables-${backend}-multi`;
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
