import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cachePath, type GoProgram } from "./go-build.ts";

const SOURCE_FOLDER = fileURLToPath(new URL("components/", import.meta.url));
const SOURCE_FILES = ["go.mod", "go.sum", "main.go"];

/** What the binary is built from. */
export interface ComponentsSource {
  /** Of Kubernetes, without the `v`. */
  readonly version: string;
  /** Changes with any of the files. */
  readonly hash: string;
}

/** Reads what the binary would be built from; the Kubernetes version is the one that go.mod requires. */
export async function componentsSource(folder = SOURCE_FOLDER): Promise<ComponentsSource> {
  const texts = await Promise.all(SOURCE_FILES.map((name) => readFile(join(folder, name), "utf8")));
  const version = /\bk8s\.io\/kubernetes v(\S+)/.exec(texts[0] ?? "")?.[1];
  if (version === undefined)
    throw new Error(`Expected k8s.io/kubernetes in ${join(folder, "go.mod")}`);
  const hash = createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 12);
  return { version, hash };
}

/** The one binary of all components. */
export async function componentsProgram(env: NodeJS.ProcessEnv): Promise<GoProgram> {
  const { version, hash } = await componentsSource();
  const [major, minor] = version.split(".");
  const stamp = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor };
  const ldflags = Object.entries(stamp).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  const flags = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags"];
  return {
    title: `Kubernetes ${version}`,
    minutes: 6,
    goMinimum: [1, 25],
    binary: cachePath(`kube-${version}-${hash}`, env),
    cwd: SOURCE_FOLDER,
    resultName: "kube",
    command: (folder) => ({
      args: ["build", ...flags, `-s -w ${ldflags.join(" ")}`, "-o", join(folder, "kube"), "."],
    }),
  };
}
