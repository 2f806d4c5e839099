import { z } from "zod";
import { KubeObject } from "./kube-object.ts";
import { ApiStatus } from "./api-status.ts";

/** What one line of a watch says. */
export type WatchEvent =
  | {
      readonly type: "put" | "delete";
      readonly object: KubeObject;
      /** Where a watch that is broken off here goes on. */
      readonly resourceVersion: string;
    }
  | { readonly type: "bookmark"; readonly resourceVersion: string }
  | { readonly type: "error"; readonly status: ApiStatus }
  /** No event; the reason does not quote the line. */
  | { readonly type: "unreadable"; readonly reason: string };

const Versioned = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string().min(1) }),
});
const VersionedObject = KubeObject.and(Versioned);

const Line = z.discriminatedUnion("type", [
  z.object({ type: z.enum(["ADDED", "MODIFIED", "DELETED"]), object: VersionedObject }),
  z.object({ type: z.literal("BOOKMARK"), object: Versioned }),
  z.object({ type: z.literal("ERROR"), object: ApiStatus }),
]);

/** Reads a line of a watch (Kubernetes, "API concepts", efficient detection of changes). */
export function parseWatchEvent(line: string): WatchEvent {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return { type: "unreadable", reason: "it is not JSON" };
  }
  const parsed = Line.safeParse(json);
  if (!parsed.success) return { type: "unreadable", reason: z.prettifyError(parsed.error) };
  const { data } = parsed;
  if (data.type === "ERROR") return { type: "error", status: data.object };
  const { resourceVersion } = data.object.metadata;
  if (data.type === "BOOKMARK") return { type: "bookmark", resourceVersion };
  const type = data.type === "DELETED" ? "delete" : "put";
  return { type, object: data.object, resourceVersion };
}
