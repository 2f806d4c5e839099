import { z } from "zod";
import type { KubeConnection } from "../../lib/kube/connection.ts";

const Groups = z.object({
  groups: z.array(z.looseObject({ preferredVersion: z.looseObject({ groupVersion: z.string() }) })),
});
const Resources = z.object({
  resources: z.array(z.looseObject({ name: z.string(), verbs: z.array(z.string()) })),
});
const List = z.object({
  items: z
    .array(
      z.looseObject({
        metadata: z.looseObject({ name: z.string(), namespace: z.string().default("") }),
      }),
    )
    .nullable(),
});

/** What comes and goes by itself. */
const FLEETING: ReadonlySet<string> = new Set(["events", "componentstatuses"]);
const TIMEOUT_MS = 30_000;

/** Every object of every kind that the API server stores, Events apart: `apps/v1/deployments NAMESPACE/NAME`. */
export async function allObjects(
  kube: Pick<KubeConnection, "request">,
): Promise<readonly string[]> {
  const get = async (path: string): Promise<unknown> => {
    const { status, body } = await kube.request({ path, timeoutMs: TIMEOUT_MS });
    if (status !== 200) throw new Error(`Cannot read ${path}: ${status}`);
    return body;
  };
  const { groups } = Groups.parse(await get("/apis"));
  const roots = [
    "/api/v1",
    ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
  ];
  const found = await Promise.all(
    roots.map(async (root) => {
      const { resources } = Resources.parse(await get(root));
      const listed = resources.filter(
        ({ name, verbs }) => verbs.includes("list") && !FLEETING.has(name),
      );
      return Promise.all(
        listed.map(async ({ name: resource }) => {
          const { items } = List.parse(await get(`${root}/${resource}`));
          return (items ?? []).map(
            ({ metadata: { namespace, name } }) =>
              `${root.replace(/^\/apis?\//, "")}/${resource} ${namespace}/${name}`,
          );
        }),
      );
    }),
  );
  return found.flat(2).toSorted();
}
