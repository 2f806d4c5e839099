import { quoted } from "../../lib/quoted.ts";
import { appendOperations, type AddOperation } from "./add-operation.ts";
import type { Container, Pod } from "../pod/pod.ts";
import { TOKEN_FILE_NAME, TOKEN_VOLUME_NAME, type TokenVolume } from "./token-delivery.ts";
import { tokenPlaceIn } from "./token-place.ts";
import { mountOf, volumeOperations } from "./token-volume.ts";

export interface ShimToken {
  readonly operations: readonly AddOperation[];
  /** Why there can be none; then there are no operations. */
  readonly conflict?: string;
}

/**
 * Builds the JSON Patch that gives a pod a token which the metadata shim finds in kubelet's folder on
 * the node: the volume, and its mount in one container, without which kubelet makes no file. No
 * variable points an SDK at it, so that the pod goes on to ask the metadata service.
 *
 * Pure, and minimal like the patch of an identity: a pod that has the volume and a mount of it is left
 * as it is.
 */
export function shimTokenOf(
  pod: Pod,
  {
    volume: { audience, expirationSeconds, mountPath },
    isSelected,
  }: {
    readonly volume: Pick<TokenVolume, "audience" | "expirationSeconds" | "mountPath">;
    /** Whether a container may have the mount. */
    readonly isSelected: (container: Container) => boolean;
  },
): ShimToken {
  const spec = pod.spec ?? {};
  const volume: TokenVolume = {
    volumeName: TOKEN_VOLUME_NAME,
    fileName: TOKEN_FILE_NAME,
    mountPath,
    audience,
    expirationSeconds,
  };
  const volumes = spec.volumes ?? [];
  const places = (["containers", "initContainers"] as const).flatMap((list) =>
    [...(spec[list] ?? []).entries()]
      .filter(([, container]) => isSelected(container))
      .map(([i, container]) => ({
        container,
        path: `/spec/${list}/${i}/volumeMounts`,
        place: tokenPlaceIn(container, volumes, volume),
      })),
  );
  const mounted = places.find(({ place }) => "mount" in place && place.mount === "present");
  if (mounted !== undefined) {
    // Another token at our place serves a container, and is none that the shim looks for.
    const isOurs = mounted.container.volumeMounts?.some(({ name }) => name === TOKEN_VOLUME_NAME);
    return { operations: isOurs === true ? volumeOperations(spec, volume) : [] };
  }
  const free = places.find(({ place }) => "directory" in place);
  if (free === undefined) {
    const [first] = places;
    if (first === undefined || !("conflict" in first.place)) return { operations: [] };
    const { container, place } = first;
    const conflict = `Pod gets no token for the metadata shim: container ${quoted(container.name)}: ${place.conflict}`;
    return { operations: [], conflict };
  }
  const operations = [...volumeOperations(spec, volume)];
  appendOperations(operations, free.path, free.container.volumeMounts, [mountOf(volume)]);
  return { operations };
}
