import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { createWorkspace } from "../kubernetes/workspace.ts";
import { findHelm } from "./helm-program.ts";

export const CHART = fileURLToPath(new URL("../../manifests/chart", import.meta.url));
export const RELEASE = "irsa-anywhere";
export const NAMESPACE = "irsa-system";
/** Values that also turn on what is off without them. */
export const ISSUER_VALUES = { issuer: { enabled: true, url: "https://oidc.example.com/prod" } };
export const SHIM_VALUES = { shim: { enabled: true } };

const KubernetesObject = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});
export type KubernetesObject = z.infer<typeof KubernetesObject>;

/**
 * The objects of the chart with these values.
 *
 * @throws Error with what Helm says, when it refuses the values.
 */
export async function renderChart(values: object = {}): Promise<readonly KubernetesObject[]> {
  const helm = await findHelm(process.env);
  await using workspace = await createWorkspace();
  const file = join(workspace.path, "values.json");
  await writeFile(file, JSON.stringify(values));
  const args = ["template", RELEASE, CHART, `--namespace=${NAMESPACE}`, `--values=${file}`];
  return objectsIn((await helm(args)).stdout);
}

/** The objects in a text of YAML documents. */
export function objectsIn(text: string): readonly KubernetesObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    const value: unknown = document.toJS();
    return value === null ? [] : [KubernetesObject.parse(value)];
  });
}

/** The one object of a kind and, where several are of it, of a name. */
export function objectOf(
  objects: readonly KubernetesObject[],
  kind: string,
  name?: string,
): KubernetesObject {
  const found = objects.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  const [object] = found;
  if (object === undefined || found.length > 1) {
    throw new Error(`Expected one ${kind} ${name ?? ""}, got ${found.length}`);
  }
  return object;
}

const Deployment = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        terminationGracePeriodSeconds: z.number(),
        containers: z.tuple([
          z.looseObject({
            name: z.string(),
            image: z.string(),
            args: z.array(z.string()),
            env: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
            ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
          }),
        ]),
      }),
    }),
  }),
});

/** The pod template of a Deployment, with its one container. */
export function podOf(objects: readonly KubernetesObject[], name: string) {
  const { template } = Deployment.parse(objectOf(objects, "Deployment", name)).spec;
  const [container] = template.spec.containers;
  return {
    template,
    container,
    /** Environment as the program would see it. */
    env: Object.fromEntries(container.env.map((entry) => [entry.name, entry.value])),
  };
}

const Container = z.looseObject({
  name: z.string(),
  args: z.array(z.string()).default([]),
  env: z
    .array(
      z.object({
        name: z.string(),
        value: z.string().optional(),
        valueFrom: z.object({ fieldRef: z.object({ fieldPath: z.string() }) }).optional(),
      }),
    )
    .default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
  securityContext: z.looseObject({
    capabilities: z.object({ drop: z.array(z.string()), add: z.array(z.string()).default([]) }),
    readOnlyRootFilesystem: z.boolean(),
    allowPrivilegeEscalation: z.boolean(),
  }),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
});

const Agent = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.number(),
        hostPID: z.boolean().default(false),
        containers: z.array(Container),
        initContainers: z.array(Container).default([]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
  }),
});

/** The pod of the DaemonSet, with its containers by name. */
export function agentOf(objects: readonly KubernetesObject[]) {
  const { spec } = Agent.parse(objectOf(objects, "DaemonSet")).spec.template;
  const containers = [...spec.initContainers, ...spec.containers];
  return {
    spec,
    container: (name: string) => {
      const found = containers.find((container) => container.name === name);
      if (found === undefined) throw new Error(`Expected a container ${name}`);
      const env = Object.fromEntries(
        found.env.map((entry) => [entry.name, entry.value ?? EXAMPLE_FIELDS[fieldOf(entry)]]),
      );
      return { ...found, env };
    },
  };
}

/** What kubelet would put there. */
const EXAMPLE_FIELDS: Readonly<Record<string, string>> = {
  "spec.nodeName": "node-1",
  "status.hostIPs": "10.0.0.5,fd00::5",
};

function fieldOf({ valueFrom }: z.infer<typeof Container>["env"][number]): string {
  return valueFrom?.fieldRef.fieldPath ?? "";
}
