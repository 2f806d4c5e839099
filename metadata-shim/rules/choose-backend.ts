import { AppError } from "../../lib/errors.ts";
import { presentFamilies } from "./present-families.ts";
import type { Family } from "./rule-settings.ts";
import { BACKENDS, createIptables, type Backend } from "./iptables.ts";
import type { RunProgram } from "./run-program.ts";
import type { SavedRules } from "./saved-rules.ts";

/** Chains that kubelet makes to show which back end it and kube-proxy use (KEP-3178). */
const HINTS: readonly string[] = ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"];

/**
 * The back end in which everybody else of this node has rules: kubelet's hint, else where there are
 * more rules, else nft. A rule in the other one would be there, but in an order that nobody sees.
 *
 * @throws AppError RULES_FAILED when no iptables is installed.
 */
export async function chooseBackend(wanted: Backend | "auto", run: RunProgram): Promise<Backend> {
  const found = await Promise.all(
    BACKENDS.map(async (backend) => {
      const isInstalled = await createIptables("ipv4", backend, run).isInstalled();
      return { backend, isInstalled, saved: isInstalled ? await allSaved(backend, run) : [] };
    }),
  );
  const installed = found.filter(({ isInstalled }) => isInstalled);
  const names = installed.map(({ backend }) => backend);
  if (wanted !== "auto" && names.includes(wanted)) return wanted;
  if (wanted !== "auto" || names.length === 0) {
    const needed = wanted === "auto" ? "iptables-nft or iptables-legacy" : `iptables-${wanted}`;
    const message = `Cannot find ${needed}: expected the package iptables to be installed`;
    throw new AppError("RULES_FAILED", 500, message);
  }
  const [best] = installed.toSorted((a, b) => weightOf(b.saved) - weightOf(a.saved));
  return best?.backend ?? "nft";
}

async function allSaved(backend: Backend, run: RunProgram): Promise<readonly SavedRules[]> {
  const read = (family: Family): Promise<SavedRules> =>
    // One that cannot be read is told when it is changed.
    createIptables(family, backend, run)
      .read()
      .catch(() => new Map());
  return Promise.all(presentFamilies().map(read));
}

function weightOf(saved: readonly SavedRules[]): number {
  const chains = saved.flatMap((tables) => [...tables.values()]).flatMap((table) => [...table]);
  if (chains.some(([chain]) => HINTS.includes(chain))) return Infinity;
  return chains.reduce((sum, [, rules]) => sum + rules.length, 0);
}
