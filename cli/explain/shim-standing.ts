import { shimRoleOf } from "./shim-caller.ts";
import type { ShimSettings } from "./metadata-shims.ts";
import type { ObservedShim, Snapshot } from "./snapshot.ts";
import type { Standing } from "./standing.ts";

/** What follows from a snapshot about the metadata shim. */
export interface ShimStanding {
  /** The first of those that there are. */
  readonly shim: ObservedShim;
  /** What it decides about the role of the pod; undefined when its settings cannot be read. */
  readonly role: ReturnType<typeof shimRoleOf> | undefined;
  readonly settings: ShimSettings | undefined;
  /** The role that the pod has by the shim alone; undefined when it does not rely on it. */
  readonly reliedOn: string | undefined;
}

/** Undefined when no shim is known of. */
export function shimStandingOf(snapshot: Snapshot, standing: Standing): ShimStanding | undefined {
  const { shims } = snapshot;
  const [shim] = shims.status === "found" ? shims.value : [];
  if (shim === undefined) return undefined;
  const { settings } = shim;
  if (settings === undefined) return { shim, settings, role: undefined, reliedOn: undefined };
  const { serviceAccountName } = standing;
  const role = shimRoleOf(snapshot, { settings, serviceAccountName });
  const isAllowed = role.status === "allowed" && standing.carrying.length === 0;
  return { shim, settings, role, reliedOn: isAllowed ? role.roleArn : undefined };
}
