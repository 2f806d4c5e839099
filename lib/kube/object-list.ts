import { z } from "zod";
import { KubeObject } from "./kube-object.ts";

/** One page of a list. */
export interface ObjectList {
  /** The version of the cluster's state that all pages of this list show. */
  readonly resourceVersion: string;
  /** Asks for the next page; absent on the last one. */
  readonly continueToken: string | undefined;
  readonly objects: readonly KubeObject[];
  /** For each item that is no object: what is wrong with it, without its content. */
  readonly unreadable: readonly string[];
}

const List = z.looseObject({
  metadata: z.looseObject({
    resourceVersion: z.string().min(1),
    continue: z.string().optional(),
  }),
  // Go writes an empty list that was never made as null.
  items: z.array(z.unknown()).nullish(),
});

/** Reads a list as the API server answers it; gives the reason when it is none. */
export function parseObjectList(body: unknown): ObjectList | { readonly reason: string } {
  const list = List.safeParse(body);
  if (!list.success) return { reason: z.prettifyError(list.error) };
  const { metadata, items } = list.data;
  const objects: KubeObject[] = [];
  const unreadable: string[] = [];
  for (const item of items ?? []) {
    const object = KubeObject.safeParse(item);
    if (object.success) objects.push(object.data);
    else unreadable.push(z.prettifyError(object.error));
  }
  const token = metadata.continue ?? "";
  return {
    resourceVersion: metadata.resourceVersion,
    continueToken: token === "" ? undefined : token,
    objects,
    unreadable,
  };
}
