import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { withFileLock } from "./file-lock.ts";
import { startSupervised } from "./supervised-process.ts";
import { createWorkspace } from "./workspace.ts";

const SOURCE_FOLDER = fileURLToPath(new URL("components/", import.meta.url));
const SOURCE_FILES = ["go.mod", "go.sum", "main.go"];
const GO_MINIMUM = { major: 1, minor: 25 };

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

/** Where the binary is, once it has been built. Outside the checkout, so that clones share it. */
export function binaryPath({ version, hash }: ComponentsSource, env: NodeJS.ProcessEnv): string {
  const { XDG_CACHE_HOME: cacheHome = "" } = env;
  const base = cacheHome === "" ? join(homedir(), ".cache") : cacheHome;
  return join(base, "irsa-anywhere", `kube-${version}-${hash}`);
}

/** Why Go cannot build here, in one line; undefined when it can. */
export async function goProblem(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const wanted = `Go ${GO_MINIMUM.major}.${GO_MINIMUM.minor} or newer builds the components of Kubernetes`;
  try {
    const { stdout } = await promisify(execFile)("go", ["env", "GOVERSION"], { env: goEnv(env) });
    const [, major = "0", minor = "0"] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
    const tooOld =
      Number(major) < GO_MINIMUM.major ||
      (Number(major) === GO_MINIMUM.major && Number(minor) < GO_MINIMUM.minor);
    return tooOld ? `${wanted}, and this machine has ${stdout.trim()}` : undefined;
  } catch (err) {
    return `${wanted}, and this machine has none: ${reasonOf(err)}`;
  }
}

/**
 * Builds the one binary of all components unless the cache has it.
 *
 * @returns its path.
 * @throws AppError KUBERNETES_UNAVAILABLE
 */
export async function buildComponents({
  env,
  progress,
}: {
  readonly env: NodeJS.ProcessEnv;
  readonly progress: (message: string) => void;
}): Promise<string> {
  const source = await componentsSource();
  const binary = binaryPath(source, env);
  if (await exists(binary)) return binary;
  const problem = await goProblem(env);
  if (problem !== undefined) throw new AppError("KUBERNETES_UNAVAILABLE", 500, problem);

  await mkdir(dirname(binary), { recursive: true });
  // Test files run at the same time: the second waits instead of building the same once more.
  await withFileLock(`${binary}.lock`, async () => {
    if (await exists(binary)) return;
    progress(
      `Building Kubernetes ${source.version} from Go modules, about 6 minutes the first time`,
    );
    await build(source.version, { binary, env });
  });
  return binary;
}

async function build(
  version: string,
  { binary, env }: { readonly binary: string; readonly env: NodeJS.ProcessEnv },
): Promise<void> {
  // Beside the result, so that it can be renamed; gone with this process, so that no half of it stays.
  await using workspace = await createWorkspace(dirname(binary));
  const result = join(workspace.path, "kube");
  const [major, minor] = version.split(".");
  const stamp = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor };
  const ldflags = Object.entries(stamp).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  const flags = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags"];
  const go = await startSupervised({
    name: "go build",
    command: ["go", "build", ...flags, `-s -w ${ldflags.join(" ")}`, "-o", result, "."],
    logFile: join(workspace.path, "go.log"),
    cwd: SOURCE_FOLDER,
    env: { ...goEnv(env), TMPDIR: workspace.path },
  });
  const end = await go.wait();
  if (end !== "exit status 0") {
    const message = `Cannot build Kubernetes ${version}: go build ended with ${end}\n${await go.tail()}`;
    throw new AppError("KUBERNETES_UNAVAILABLE", 500, message);
  }
  await rename(result, binary);
}

/** The same build everywhere: no C compiler, no toolchain from elsewhere, no workspace around it. */
function goEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOWORK: "off" };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
