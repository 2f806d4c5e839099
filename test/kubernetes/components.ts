import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { componentsProgram } from "./build-components.ts";
import { buildGoProgram, goProblem } from "./go-build.ts";
import type { SupervisedProcess } from "./supervised-process.ts";

/** A program of a Kubernetes cluster. */
export type Component =
  | "etcd"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-proxy"
  | "kube-scheduler"
  | "kubectl"
  | "kubelet";

/** The command line that starts a component, to which its flags are added. */
export type CommandOf = (component: Component) => readonly string[];

/** Starts a component with these flags; `name` tells several of one kind apart. */
export type RunComponent = (
  component: Component,
  flags: readonly string[],
  name?: string,
) => Promise<SupervisedProcess>;

export interface FindOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Told what takes long, as one sentence. */
  readonly progress: (message: string) => void;
}

/**
 * Finds the components: in the folder `KUBEBUILDER_ASSETS` when it is set, as envtest does
 * (book.kubebuilder.io/reference/envtest), else in the cache, where they are built when missing.
 *
 * @throws AppError KUBERNETES_UNAVAILABLE
 */
export async function findComponents(
  wanted: readonly Component[],
  { env, progress }: FindOptions,
): Promise<CommandOf> {
  const assets = env["KUBEBUILDER_ASSETS"];
  if (assets !== undefined && assets !== "") {
    await checkAssets(assets, wanted);
    return (component) => [join(assets, component)];
  }
  const binary = await buildGoProgram(await componentsProgram(env), { env, progress });
  return (component) => [binary, component];
}

/**
 * Why no component can run on this machine, in one line; undefined when they can. Builds nothing. For
 * the `skip` of a test.
 *
 * @param wanted Those that `KUBEBUILDER_ASSETS` may lack; that it lacks another is an error, not a skip.
 */
export async function missingComponents(
  env: NodeJS.ProcessEnv,
  wanted: readonly Component[] = [],
): Promise<string | undefined> {
  const assets = env["KUBEBUILDER_ASSETS"];
  if (assets === undefined || assets === "") return goProblem(await componentsProgram(env), env);
  return checkAssets(assets, wanted).then(() => undefined, reasonOf);
}

async function checkAssets(folder: string, wanted: readonly Component[]): Promise<void> {
  const present = await Promise.all(wanted.map((name) => isExecutable(join(folder, name))));
  const missing = wanted.filter((_, i) => present[i] !== true);
  if (missing.length === 0) return;
  const message = `Cannot use KUBEBUILDER_ASSETS "${folder}": expected the executables ${missing.join(", ")} in it`;
  throw new AppError("KUBERNETES_UNAVAILABLE", 500, message);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
