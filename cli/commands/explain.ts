import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { Argument, CommanderError, type Command } from "commander";
import pico from "picocolors";
import { z } from "zod";
import { defineConfig, toggle, value } from "../../lib/config.ts";
import { AppError } from "../../lib/errors.ts";
import type { Program } from "../../lib/program.ts";
import {
  checkMutationConfig,
  givenRoleAccount,
  MUTATION_SETTINGS,
  mutationSettingsOf,
} from "../../webhook/mutation/mutation-config.ts";

const explainConfig = defineConfig(
  {
    kubeconfig: value(
      "kubeconfig",
      z.string().default(""),
      "Kubeconfig file; without it KUBECONFIG, ~/.kube/config, or the pod's own access",
    ),
    json: toggle("json", false, "Prints the explanation as JSON"),
    watchConfigMap: toggle(
      "watch-config-map",
      false,
      "Whether the webhook takes roles from the ConfigMap pod-identity-webhook of --namespace",
    ),
    namespace: value("namespace", z.string().min(1).default("eks"), "Namespace of the webhook"),
    ...MUTATION_SETTINGS,
  },
  (config) => [
    ...checkMutationConfig(config),
    ...(config.composeRoleArn && config.accountId === ""
      ? ["--compose-role-arn needs --account-id here: the account of this machine may be another"]
      : []),
  ],
);

/** Exit statuses beside 0. */
const NOT_FINE = 1;
const UNSEEN = 2;

const HELP = `
Exit status: 0 the identity is fine, 1 it is not, 2 it could not be looked at.
The flags of the webhook matter here too: give those that yours runs with.

Example:
  irsa explain pod team/web-6d5f7c9b4-x2x7k`;

/** `irsa explain pod NAMESPACE/NAME`: why a pod has its AWS identity, or not. */
export function addExplain(irsa: Command, { env, stdout, stderr }: Program): void {
  const command = irsa
    .command("explain")
    .description("Says why a pod has its AWS identity or not, and what to do next")
    .addArgument(new Argument("<kind>", "What to explain").choices(["pod"]))
    .argument("<namespace/name>", "Which one")
    .addHelpText("after", HELP);
  command.exitOverride(({ exitCode, code, message }) => {
    throw new CommanderError(exitCode === 0 ? 0 : UNSEEN, code, message);
  });
  explainConfig.addTo(command).action(async (_kind: string, place: string) => {
    let isFine: boolean;
    try {
      isFine = await explain(place);
    } catch (err) {
      if (!(err instanceof AppError)) throw err;
      stderr.write(`irsa: ${err.message}\n`);
      throw new CommanderError(UNSEEN, "irsa.explain.unseen", err.message);
    }
    if (!isFine) throw new CommanderError(NOT_FINE, "irsa.explain.not-fine", "");
  });

  async function explain(place: string): Promise<boolean> {
    const config = explainConfig.read(command, env);
    const [, namespace = "", name = ""] = /^([^/]+)\/([^/]+)$/.exec(place) ?? [];
    if (name === "") {
      const message = `Cannot explain pod ${JSON.stringify(place)}: expected NAMESPACE/NAME`;
      throw new AppError("INPUT_INVALID", 400, message);
    }
    const [{ connect }, { readSnapshot }, { explainPod }, { renderExplanation }, { isLoopback }] =
      await Promise.all([
        import("../../lib/kube/connection.ts"),
        import("../explain/read-snapshot.ts"),
        import("../explain/explain-pod.ts"),
        import("../explain/render-explanation.ts"),
        import("../../lib/loopback.ts"),
      ]);
    const connection = connect({ kubeconfig: config.kubeconfig || kubeconfigIn(env) });
    const inCluster = env["KUBERNETES_SERVICE_HOST"] !== undefined;
    const server = connection.config.getCurrentCluster()?.server ?? "";
    const position = {
      inCluster,
      sharesLoopback: isLoopback(server),
      configMapNamespace: config.watchConfigMap ? config.namespace : undefined,
    };
    const snapshot = await readSnapshot(connection, { namespace, name }, position);
    const settings = mutationSettingsOf(config, givenRoleAccount(config));
    const explanation = explainPod(snapshot, settings);
    const isColoured = "isTTY" in stdout && stdout.isTTY === true && pico.isColorSupported;
    stdout.write(
      config.json
        ? `${JSON.stringify(explanation, null, 2)}\n`
        : renderExplanation(explanation, pico.createColors(isColoured)),
    );
    return explanation.fine;
  }
}

/** The file that kubectl would take; empty for the pod's own access. */
function kubeconfigIn(env: Program["env"]): string {
  const named = (env["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  const files = named.length > 0 ? named : [join(env["HOME"] ?? homedir(), ".kube", "config")];
  return files.find((path) => existsSync(path)) ?? named[0] ?? "";
}
