import type { AddOperation } from "./add-operation.ts";
import type { PodSpec } from "../pod/pod.ts";
import type { TokenVolume } from "./token-delivery.ts";

/** The volume, in front as AWS's webhook puts it, when it is not there. */
export function volumeOperations(
  { volumes }: PodSpec,
  { volumeName, audience, expirationSeconds, fileName }: TokenVolume,
): readonly AddOperation[] {
  if (volumes?.some(({ name }) => name === volumeName) === true) return [];
  const serviceAccountToken = { audience, expirationSeconds, path: fileName };
  const volume = { name: volumeName, projected: { sources: [{ serviceAccountToken }] } };
  return volumes === undefined || volumes === null
    ? [{ op: "add", path: "/spec/volumes", value: [volume] }]
    : [{ op: "add", path: "/spec/volumes/0", value: volume }];
}

/** The mount of the volume in a container. */
export function mountOf({ volumeName, mountPath }: TokenVolume): object {
  return { name: volumeName, mountPath, readOnly: true };
}
