import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { startListWatch } from "../../lib/kube/list-watch.ts";
import type { Logger } from "../../lib/log.ts";
import {
  entryFor,
  NO_ENTRIES,
  parseConfigMapEntries,
  type ConfigMapEntries,
} from "./config-map-entries.ts";
import { UNREAD_ENTRY, type ConfigMapEntry } from "../identity/identity-source.ts";
import { LastGood } from "./last-good.ts";

export interface ConfigMapWatchOptions {
  readonly connection: KubeConnection;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** Called for each content that cannot be used; the last good one stays in use. */
  readonly onBad: (err: unknown) => void;
  /** Called when another content comes into use. */
  readonly onChange?: (() => void) | undefined;
}

export interface ConfigMapWatch extends AsyncDisposable {
  /** {@link UNREAD_ENTRY} as long as the ConfigMap has not been read, or not with a good content. */
  entryFor(namespace: string, name: string): ConfigMapEntry | undefined;
  /** Whether it is known what the ConfigMap says, or that there is none. */
  readonly synced: boolean;
  readonly whenSynced: Promise<void>;
}

/** Name and key that AWS's webhook reads. */
export const CONFIG_MAP_NAME = "pod-identity-webhook";
const CONFIG_KEY = "config";

const ConfigMap = z.looseObject({ data: z.record(z.string(), z.string()).nullish() });

/**
 * Follows the ConfigMap that maps ServiceAccounts to roles. Without it there are no entries, also
 * after it was deleted. Asks for this one only, so a Role with its name is enough.
 */
export function watchConfigMap({
  connection,
  namespace,
  clock,
  log,
  onBad,
  onChange,
}: ConfigMapWatchOptions): ConfigMapWatch {
  const entries = new LastGood<ConfigMapEntries, string | null>(NO_ENTRIES, {
    parse: (text) => {
      if (text === null) {
        const message = `Cannot use the ConfigMap ${namespace}/${CONFIG_MAP_NAME}: expected data.${CONFIG_KEY}`;
        throw new AppError("ASSOCIATION_INVALID", 500, message);
      }
      const parsed = parseConfigMapEntries(text);
      const { exact, globs } = parsed.entries;
      const { warnings } = parsed;
      log.info(
        {
          exact: exact.size,
          globs: globs.length,
          ...(warnings.length > 0 ? { warnings } : {}),
        },
        "Using roles of the ConfigMap",
      );
      onChange?.();
      return parsed.entries;
    },
    onBad,
  });
  const fieldSelector = encodeURIComponent(`metadata.name=${CONFIG_MAP_NAME}`);
  const watch = startListWatch<string | null>({
    connection,
    path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps?fieldSelector=${fieldSelector}`,
    metadataOnly: false,
    // Null for one without the key, which is not the same as no ConfigMap.
    keep: (object) => ConfigMap.safeParse(object).data?.data?.[CONFIG_KEY] ?? null,
    clock,
    log,
    onEvent: ({ type }) => {
      if (type !== "listed" && type !== "changed") return;
      const text = watch.get(namespace, CONFIG_MAP_NAME);
      entries.set(text === undefined ? "" : text);
    },
  });
  return {
    entryFor: (...serviceAccount) =>
      entries.hasGood ? entryFor(entries.value, ...serviceAccount) : UNREAD_ENTRY,
    get synced() {
      return watch.synced;
    },
    whenSynced: watch.whenSynced,
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}
