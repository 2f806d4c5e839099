import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Readable } from "node:stream";
import type { Command } from "commander";
import { z } from "zod";
import { defineConfig, ignored, list, value } from "../../lib/config.ts";
import { AppError, reasonOf } from "../../lib/errors.ts";
import type { Program } from "../../lib/program.ts";
import { SERVER_FLAGS } from "../../webhook/config.ts";
import {
  checkMutationConfig,
  givenRoleAccount,
  MUTATION_SETTINGS,
  mutationConfigWarnings,
  mutationSettingsOf,
} from "../../webhook/mutation/mutation-config.ts";

const injectConfig = defineConfig(
  {
    serviceAccountFiles: list(
      "service-account-file",
      z.string().min(1, "expected a file"),
      "File of ServiceAccounts; those in the manifests count as well",
    ),
    defaultNamespace: value(
      "default-namespace",
      z.string().min(1, "expected a namespace").default("default"),
      "Namespace of manifests that name none",
    ),
    ...MUTATION_SETTINGS,
    serverFlags: ignored(SERVER_FLAGS),
  },
  (config) => [
    ...checkMutationConfig(config),
    ...(config.composeRoleArn && config.accountId === ""
      ? ["--compose-role-arn needs --account-id here: nothing is asked over the network"]
      : []),
  ],
);

const EXAMPLES = `
Examples:
  irsa inject -f pod.yaml --service-account-file service-account.yaml
  helm template . | irsa inject -f - | kubectl apply -f -`;

/** `irsa inject`: the webhook's mutation on manifests, without a cluster. */
export function addInject(irsa: Command, { env, stdin, stdout, stderr }: Program): void {
  const command = irsa
    .command("inject")
    .description("Prints manifests as the webhook would leave them, and on stderr what it did")
    .requiredOption("-f, --file <path>", "Manifests to mutate (YAML or JSON); - is stdin")
    .addHelpText("after", EXAMPLES);
  injectConfig.addTo(command).action(async (options: { file: string }) => {
    const config = injectConfig.read(command, env);
    const [{ parseManifests }, { injectManifests, serviceAccountsIn }] = await Promise.all([
      import("../inject/manifest-stream.ts"),
      import("../inject/inject-manifests.ts"),
    ]);
    const read = async (path: string): Promise<ReturnType<typeof parseManifests>> =>
      parseManifests(await contentOf(path, stdin), path === "-" ? "stdin" : path);

    const stream = await read(options.file);
    const files = await Promise.all(config.serviceAccountFiles.map(read));
    const injected = injectManifests(stream, {
      serviceAccounts: [...files, stream].flatMap(serviceAccountsIn),
      settings: mutationSettingsOf(config, givenRoleAccount(config)),
      defaultNamespace: config.defaultNamespace,
    });
    const notes = [...mutationConfigWarnings(config), ...injected.notes];
    stderr.write(notes.map((note) => `${note}\n`).join(""));
    stdout.write(injected.text);
  });
}

async function contentOf(path: string, stdin: Readable): Promise<string> {
  try {
    return path === "-" ? await text(stdin) : await readFile(path, "utf8");
  } catch (cause) {
    const message = `Cannot read the manifests in ${JSON.stringify(path)}: ${reasonOf(cause)}`;
    throw new AppError("INPUT_INVALID", 400, message, { cause });
  }
}
