import { z } from "zod";

const LockedPackage = z.looseObject({
  version: z.string().optional(),
  /** Subresource Integrity of the package's archive, `sha512-BASE64`. */
  integrity: z.string().optional(),
  license: z.string().optional(),
  dependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
  peerDependencies: z.record(z.string(), z.string()).default({}),
});
type LockedPackage = z.infer<typeof LockedPackage>;

/** package-lock.json, version 3: what is installed, by its folder; the program itself under "". */
const Lockfile = z.object({
  name: z.string(),
  packages: z.record(z.string(), LockedPackage),
});

/**
 * The bill of materials of the bundle: CycloneDX 1.6 in JSON, with each package of which any code is
 * in it. What is only installed, or dropped as unused, is not part of it. The same build gives the
 * same text.
 *
 * @throws Error for a module of a package that the lockfile does not name.
 */
export function sbomOf({
  lockfile,
  modules,
  files,
}: {
  /** package-lock.json, parsed. */
  readonly lockfile: unknown;
  /** Paths of the modules in the bundle. */
  readonly modules: readonly string[];
  /** The files of the bundle: SHA-256 in hexadecimal by name. */
  readonly files: Readonly<Record<string, string>>;
}): object {
  const { name, packages } = Lockfile.parse(lockfile);
  const folders = [...new Set(modules.flatMap((id) => packageFolderOf(id) ?? []))].toSorted();
  const bundled = new Map(
    folders.map((folder) => {
      const locked = packages[folder];
      if (locked?.version === undefined) throw new Error(`Expected ${folder} in the lockfile`);
      return [folder, { ...locked, version: locked.version, name: packageNameOf(folder) }] as const;
    }),
  );
  const program = packages[""] ?? LockedPackage.parse({});
  const programRef = `pkg:npm/${name}@${program.version ?? "0.0.0"}`;
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": programRef,
        name,
        version: program.version,
        ...licensesOf(program),
        purl: programRef,
        components: Object.entries(files).map(([file, sha256]) => ({
          type: "file",
          name: file,
          hashes: [{ alg: "SHA-256", content: sha256 }],
        })),
      },
    },
    components: [...bundled.values()].map((locked) => ({
      type: "library",
      "bom-ref": purlOf(locked),
      name: locked.name,
      version: locked.version,
      ...licensesOf(locked),
      purl: purlOf(locked),
      ...hashesOf(locked),
    })),
    dependencies: [
      { ref: programRef, dependsOn: refsOf("", program) },
      ...[...bundled].map(([folder, locked]) => ({
        ref: purlOf(locked),
        dependsOn: refsOf(folder, locked),
      })),
    ],
  };

  /** Those of its dependencies that are in the bundle. */
  function refsOf(folder: string, locked: LockedPackage): readonly string[] {
    const { dependencies, optionalDependencies, peerDependencies } = locked;
    const names = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
    return names
      .flatMap((dependency) => {
        const found = candidatesOf(folder, dependency).find((path) => packages[path]);
        const target = found === undefined ? undefined : bundled.get(found);
        return target === undefined ? [] : [purlOf(target)];
      })
      .toSorted();
  }
}

/** The folder of the package that a module belongs to, as the lockfile names it. */
function packageFolderOf(moduleId: string): string | undefined {
  return /node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(moduleId)?.[0];
}

function packageNameOf(folder: string): string {
  return folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length);
}

/** Where Node looks for a package, the nearest folder first. */
function candidatesOf(folder: string, dependency: string): readonly string[] {
  const own = `${folder === "" ? "" : `${folder}/`}node_modules/${dependency}`;
  const parent = /^(.*?)\/?node_modules\/(?:@[^/]+\/)?[^/]+$/.exec(folder)?.[1];
  return parent === undefined ? [own] : [own, ...candidatesOf(parent, dependency)];
}

/** github.com/package-url/purl-spec, type npm: the @ of a scope is encoded. */
function purlOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** As an SPDX expression, which a single identifier is too. */
function licensesOf({ license }: LockedPackage): object {
  return license === undefined ? {} : { licenses: [{ expression: license }] };
}

function hashesOf({ integrity }: LockedPackage): object {
  const [, base64] = /^sha512-(\S+)$/.exec(integrity ?? "") ?? [];
  if (base64 === undefined) return {};
  return { hashes: [{ alg: "SHA-512", content: Buffer.from(base64, "base64").toString("hex") }] };
}
