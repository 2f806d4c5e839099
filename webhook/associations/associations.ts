import type { Clock } from "../../lib/clock.ts";
import type { ConfigMapWatch } from "./config-map-watch.ts";
import type { ContainerCredentialsFile } from "./container-credentials-file.ts";
import { UNREAD_ENTRY, type Association } from "../identity/identity-source.ts";

export interface AssociationsDeps {
  /** Undefined when the mode is off; so is the next. */
  readonly containerCredentials: ContainerCredentialsFile | undefined;
  readonly configMap: Pick<ConfigMapWatch, "entryFor" | "synced" | "whenSynced"> | undefined;
  /** Longest wait for the first reading of the ConfigMap, in milliseconds. */
  readonly waitMs: number;
  readonly clock: Clock;
}

/** Makes the function that tells what the configuration says of a ServiceAccount. */
export function createAssociations({
  containerCredentials,
  configMap,
  waitMs,
  clock,
}: AssociationsDeps): (namespace: string, name: string) => Promise<Association> {
  return async (namespace, name) => {
    if (configMap !== undefined && !configMap.synced) {
      const waited = new AbortController();
      // It rejects when the program stops, which ends the wait as well.
      const known = configMap.whenSynced.catch(() => {});
      await Promise.race([known, clock.sleep(waitMs, waited.signal)]);
      waited.abort();
    }
    return knownAssociation({ containerCredentials, configMap }, namespace, name);
  };
}

/** What the configuration says of a ServiceAccount as far as it is read now. */
export function knownAssociation(
  { containerCredentials, configMap }: Pick<AssociationsDeps, "containerCredentials" | "configMap">,
  namespace: string,
  name: string,
): Association {
  const entry = configMap?.entryFor(namespace, name);
  const isFileUnread =
    containerCredentials !== undefined && containerCredentials.names === undefined;
  return {
    containerCredentials: containerCredentials?.names?.has(`${namespace}/${name}`) === true,
    configMap: isFileUnread && !entry?.roleArn ? UNREAD_ENTRY : entry,
  };
}
