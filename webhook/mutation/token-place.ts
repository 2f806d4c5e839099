import { posix } from "node:path";
import type { Container, Volume, VolumeMount } from "../pod/pod.ts";
import { quoted } from "../../lib/quoted.ts";
import type { TokenVolume } from "./token-delivery.ts";

/** Where a container finds the token, or what is in the way. */
export type TokenPlace =
  | { readonly directory: string; readonly mount: "missing" | "present" }
  | { readonly conflict: string };

/**
 * Finds the place of the token in a container: the mount that is there, the one to be added, or the
 * reason why there can be none. A place is never at a file that is not a token of ours.
 */
export function tokenPlaceIn(
  { volumeMounts }: Container,
  volumes: readonly Volume[],
  delivery: TokenVolume,
): TokenPlace {
  const { volumeName, mountPath, audience } = delivery;
  const isToken = (volume: Volume | undefined): boolean =>
    volume !== undefined && isTokenVolume(volume, delivery);
  const volumeNamed = (wanted: string): Volume | undefined =>
    volumes.find(({ name }) => name === wanted);

  const ours = volumeNamed(volumeName);
  const isForeign = ours !== undefined && !isToken(ours);
  const foreign = (): TokenPlace => ({
    conflict: `volume ${quoted(volumeName)} is no token for ${quoted(audience)}`,
  });
  const mounts = volumeMounts ?? [];
  const mount = mounts.find(({ name }) => name === volumeName);
  const directory = mount === undefined ? mountPath : (mount.mountPath ?? "");
  const wanted = normalized(directory);
  const [other, ...more] = mounts.filter(
    (candidate) => candidate !== mount && isAtOrBelow(candidate.mountPath, wanted),
  );
  const taken = (): TokenPlace => ({
    conflict: `volume ${quoted(other?.name)} is mounted at ${quoted(other?.mountPath)}`,
  });
  if (mount !== undefined) {
    if (isForeign) return foreign();
    if (isPartial(mount)) {
      return {
        conflict: `volume ${quoted(volumeName)} is mounted in part at ${quoted(directory)}`,
      };
    }
    return other === undefined ? { directory, mount: "present" } : taken();
  }
  if (other === undefined) return isForeign ? foreign() : { directory, mount: "missing" };
  const serves =
    more.length === 0 &&
    normalized(other.mountPath) === wanted &&
    !isPartial(other) &&
    isToken(volumeNamed(other.name ?? ""));
  return serves ? { directory, mount: "present" } : taken();
}

/** Whether its file is a service-account token that is taken for this audience. */
export function isTokenVolume(
  { projected }: Volume,
  { fileName, audience }: Pick<TokenVolume, "fileName" | "audience">,
): boolean {
  const sources = projected?.sources ?? [];
  return sources.some(
    ({ serviceAccountToken: token }) => token?.path === fileName && token.audience === audience,
  );
}

function isPartial({ subPath, subPathExpr }: VolumeMount): boolean {
  return Boolean(subPath) || Boolean(subPathExpr);
}

/** @param directory normalized. */
function isAtOrBelow(path: string | null | undefined, directory: string): boolean {
  // No path is longer when it is normalized, and most are too short by far.
  if ((path ?? "").length < directory.length) return false;
  return `${normalized(path)}/`.startsWith(`${directory}/`);
}

function normalized(path: string | null | undefined): string {
  return posix.normalize(path ?? "").replace(/\/+$/, "");
}
