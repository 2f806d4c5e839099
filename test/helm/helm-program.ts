import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildGoProgram, cachePath, goProblem, type GoProgram } from "../kubernetes/go-build.ts";
import { createWorkspace } from "../kubernetes/workspace.ts";

const VERSION = "4.3.1";

/** What a program wrote. */
export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Helm; rejects with what it said when it fails. */
export type Helm = (
  args: readonly string[],
  options?: { readonly kubeconfig?: string | undefined },
) => Promise<Output>;

/** Why Helm cannot be run here, in one line; undefined when it can. Builds nothing. */
export async function missingHelm(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return goProblem(helmProgram(env), env);
}

/**
 * Finds Helm, of one version for all, in the cache, where it is built when missing.
 *
 * @throws AppError KUBERNETES_UNAVAILABLE
 */
export async function findHelm(env: NodeJS.ProcessEnv): Promise<Helm> {
  const binary = await buildGoProgram(helmProgram(env), {
    env,
    progress: (message) => process.stderr.write(`${message}\n`),
  });
  return async (args, { kubeconfig } = {}) => {
    // Nothing of the developer's own settings, plug-ins and cluster gets in.
    await using home = await createWorkspace(env["TMPDIR"]);
    // Awaited here, since the folder goes at the end of this function.
    return await promisify(execFile)(binary, [...args], {
      env: {
        PATH: env["PATH"],
        HOME: home.path,
        KUBECONFIG: kubeconfig ?? join(home.path, "none"),
      },
      maxBuffer: 64 * 1024 * 1024,
    });
  };
}

function helmProgram(env: NodeJS.ProcessEnv): GoProgram {
  return {
    title: `Helm ${VERSION}`,
    minutes: 3,
    goMinimum: [1, 26],
    binary: cachePath(`helm-${VERSION}`, env),
    resultName: "helm",
    command: (folder) => ({
      args: ["install", "-trimpath", "-ldflags=-s -w", `helm.sh/helm/v4/cmd/helm@v${VERSION}`],
      env: { GOBIN: folder },
    }),
  };
}
