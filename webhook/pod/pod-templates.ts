import { z } from "zod";

/** Where a pod, or the template of pods, stands in an object. */
export interface PodTemplate {
  /** Fields that lead to it from the object; empty for a Pod itself. */
  readonly path: readonly string[];
  /** Of the object, else of the template. */
  readonly namespace: string | undefined;
  readonly template: unknown;
}

/** Fields that lead to the pod template, by API group and kind. */
const TEMPLATE_PATHS: Readonly<Record<string, readonly string[]>> = {
  "/Pod": [],
  "/PodTemplate": ["template"],
  "/ReplicationController": ["spec", "template"],
  "apps/DaemonSet": ["spec", "template"],
  "apps/Deployment": ["spec", "template"],
  "apps/ReplicaSet": ["spec", "template"],
  "apps/StatefulSet": ["spec", "template"],
  "batch/CronJob": ["spec", "jobTemplate", "spec", "template"],
  "batch/Job": ["spec", "template"],
};

const text = z.string().nullish();
const Kind = z.looseObject({ apiVersion: z.string(), kind: z.string() });
const Metadata = z.looseObject({
  metadata: z.looseObject({ name: text, generateName: text, namespace: text }),
});
const ObjectList = z.looseObject({
  apiVersion: z.literal("v1"),
  kind: z.literal("List"),
  items: z.array(z.unknown()).nullish(),
});
const Fields = z.looseObject({});

/** An object inside a document, with the fields that lead to it: a `kind: List` holds several. */
export interface ManifestObject {
  readonly path: readonly string[];
  readonly object: unknown;
}

/** The object itself, or the items of a `v1` List, which may again be lists. */
export function objectsIn(
  object: unknown,
  path: readonly string[] = [],
): readonly ManifestObject[] {
  const list = ObjectList.safeParse(object);
  if (!list.success) return [{ path, object }];
  return (list.data.items ?? []).flatMap((item, i) => objectsIn(item, [...path, "items", `${i}`]));
}

/** The pod or pod template of an object; undefined when its kind has none. */
export function podTemplateOf(object: unknown): PodTemplate | undefined {
  const kind = Kind.safeParse(object);
  if (!kind.success) return undefined;
  const path = TEMPLATE_PATHS[`${groupOf(kind.data.apiVersion)}/${kind.data.kind}`];
  if (path === undefined) return undefined;
  const template = path.reduce<unknown>((node, key) => Fields.safeParse(node).data?.[key], object);
  return { path, namespace: namespaceOf(object) ?? namespaceOf(template), template };
}

/** What an object is called in a message: `Service team/web`. */
export function titleOf(object: unknown): string {
  const kind = Kind.safeParse(object).data?.kind;
  if (kind === undefined) return "no Kubernetes object";
  const { name, generateName, namespace } = Metadata.safeParse(object).data?.metadata ?? {};
  const title = name || generateName || "";
  return title === "" ? kind : `${kind} ${namespace ? `${namespace}/` : ""}${title}`;
}

function namespaceOf(object: unknown): string | undefined {
  return Metadata.safeParse(object).data?.metadata.namespace || undefined;
}

function groupOf(apiVersion: string): string {
  const [group = "", version] = apiVersion.split("/");
  if (version === undefined) return "";
  // The group that workloads were in before Kubernetes 1.16.
  return group === "extensions" ? "apps" : group;
}
