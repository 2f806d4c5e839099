import { readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import type { PodToken, PodTokenSource } from "./pod-token.ts";
import { MAX_TOKEN_CHARACTERS, tokenProblem } from "./token-problem.ts";

export interface KubeletTokenOptions {
  /** kubelet's `--root-dir` as this process sees it, such as `/var/lib/kubelet`. */
  readonly kubeletRoot: string;
  /** The projected volume of the pod that holds the token, and the file in it. */
  readonly volumeName: string;
  readonly fileName: string;
}

// A UID is a UUID; whatever else it may be, it must not leave kubelet's folder.
const UID = /^[\w-]{1,128}$/;

/**
 * Tokens that kubelet keeps for pods of this node, read from its folder: whoever can do that needs
 * no right to ask the API server for tokens. kubelet renews them, so they are read each time.
 */
export function kubeletTokenSource(options: KubeletTokenOptions): PodTokenSource {
  return async (request) => {
    const { podUid } = request.caller;
    if (!UID.test(podUid)) return missing(`${JSON.stringify(podUid)} is no UID of a pod`);
    const folder = join(
      options.kubeletRoot,
      "pods",
      podUid,
      "volumes/kubernetes.io~projected",
      options.volumeName,
    );
    // kubelet swaps a symbolic link when it renews a token, at worst between looking and reading.
    const token = (await read(folder, options.fileName)) ?? (await read(folder, options.fileName));
    if (token === undefined) return missing(`there is no token in kubelet's folder ${folder}`);
    if (typeof token !== "string") return token;
    const wrong = tokenProblem(token, request);
    if (wrong === undefined) return { status: "found", token };
    const { problem, isDisputed } = wrong;
    return { ...missing(`Cannot use the token in ${folder}: ${problem}`), isDisputed };
  };
}

async function read(folder: string, name: string): Promise<string | PodToken | undefined> {
  try {
    const [place, file] = await Promise.all([realpath(folder), realpath(join(folder, name))]);
    // The volume is read-only in the pod, but nothing that a pod might plant may point elsewhere.
    if (!file.startsWith(place + sep)) return missing(`the token in ${folder} is not its own file`);
    const { size } = await stat(file);
    if (size > MAX_TOKEN_CHARACTERS) return missing(`the file in ${folder} is too large`);
    return (await readFile(file, "utf8")).trim();
  } catch (err) {
    const code = err instanceof Error && "code" in err ? String(err.code) : "unreadable";
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    return { status: "unavailable", message: `Cannot read the token in ${folder}: ${code}` };
  }
}

function missing(message: string): Extract<PodToken, { status: "missing" }> {
  return { status: "missing", message };
}
