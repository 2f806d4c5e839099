import { z } from "zod";
import { defineConfig } from "../../lib/config.ts";
import { reasonOf } from "../../lib/errors.ts";
import type { HttpTokens } from "../../metadata-shim/caller/caller.ts";
import { shimConfig } from "../../metadata-shim/config.ts";
import { PROFILE_TRAITS, type Profile } from "../../metadata-shim/role/profile.ts";
import {
  checkRoleConfig,
  ROLE_SETTINGS,
  roleSettingsOf,
  wantsDiscovery,
} from "../../metadata-shim/role/role-config.ts";
import type { RoleSettings } from "../../metadata-shim/role/role-settings.ts";

const text = z.string().nullish();
const texts = z.array(z.string()).nullish();
const List = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ namespace: z.string(), name: z.string() }),
      spec: z.looseObject({
        selector: z.looseObject({ matchLabels: z.record(z.string(), z.string()).nullish() }),
        template: z.looseObject({
          spec: z.looseObject({
            containers: z.array(
              z.looseObject({
                command: texts,
                args: texts,
                env: z.array(z.looseObject({ name: z.string(), value: text })).nullish(),
              }),
            ),
          }),
        }),
      }),
    }),
  ),
});

/** A DaemonSet that runs `irsa shim`, with what its flags and variables say about roles. */
export interface MetadataShim {
  readonly namespace: string;
  readonly name: string;
  /** Labels of its pods. */
  readonly podLabels: Readonly<Record<string, string>>;
  /** Undefined when they cannot be read. */
  readonly settings: ShimSettings | undefined;
  /** Why they cannot be read. */
  readonly problem: string | undefined;
  /** The taint that it takes from its node once it is ready; undefined when it takes none. */
  readonly taint: string | undefined;
}

export interface ShimSettings {
  readonly profile: Profile;
  readonly httpTokens: HttpTokens;
  readonly role: RoleSettings;
  /** Whether the base of names is what only the shim's own machine knows. */
  readonly isBaseDiscovered: boolean;
}

/** What is read of the flags; those of the network, and of newer versions, do not matter here. */
const settingsConfig = defineConfig(
  { ...ROLE_SETTINGS, httpTokens: shimConfig.settings.httpTokens },
  checkRoleConfig,
);
const FLAGS = new Map(
  Object.values(settingsConfig.settings).map(({ flag, kind }) => [flag, kind] as const),
);

/** The DaemonSets of a list that run `irsa shim`; not those that only keep its rules. */
export function metadataShimsIn(body: unknown): readonly MetadataShim[] {
  return List.parse(body).items.flatMap(({ metadata, spec }) => {
    const { namespace, name } = metadata;
    const podLabels = spec.selector.matchLabels ?? {};
    const found = spec.template.spec.containers.flatMap(({ command, args, env }) => {
      const flags = shimFlagsIn([...(command ?? []), ...(args ?? [])]);
      return flags === undefined ? [] : [{ flags, env: env ?? [] }];
    });
    const [shim] = found;
    if (shim === undefined) return [];
    const env = Object.fromEntries(shim.env.map((entry) => [entry.name, entry.value ?? undefined]));
    const taint = valueOf("--remove-taint", shim.flags) ?? env["IRSA_REMOVE_TAINT"];
    return [{ namespace, name, podLabels, taint, ...settingsIn(shim.flags, env) }];
  });
}

/** What follows `shim`; undefined when that is not the command. */
function shimFlagsIn(words: readonly string[]): readonly string[] | undefined {
  const at = words.indexOf("shim");
  // After a flag it may be its value.
  if (at === -1 || words[at - 1]?.startsWith("-") === true) return undefined;
  return words[at + 1] === "rules" ? undefined : words.slice(at + 1);
}

function settingsIn(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Pick<MetadataShim, "settings" | "problem"> {
  try {
    const config = settingsConfig.parse(words.flatMap(knownWords), env);
    const { profile } = config;
    const settings = {
      profile,
      httpTokens: config.httpTokens ?? PROFILE_TRAITS[profile].httpTokens,
      role: roleSettingsOf(config, undefined),
      isBaseDiscovered: wantsDiscovery(config),
    };
    return { settings, problem: undefined };
  } catch (err) {
    return { settings: undefined, problem: reasonOf(err) };
  }
}

/** A flag that matters, with its value; nothing for any other word. */
function knownWords(word: string, i: number, words: readonly string[]): readonly string[] {
  const [, name = "", value] = /^--(?:no-)?([a-z0-9-]+)(=.*)?$/s.exec(word) ?? [];
  const kind = FLAGS.get(name);
  if (kind === undefined) return [];
  const next = words[i + 1];
  const isApart = value === undefined && kind !== "boolean" && next !== undefined;
  return isApart ? [word, next] : [word];
}

function valueOf(flag: string, words: readonly string[]): string | undefined {
  const at = words.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
  return words[at] === flag ? words[at + 1] : words[at]?.slice(flag.length + 1);
}
