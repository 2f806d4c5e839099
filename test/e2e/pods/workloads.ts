import type { V1Container, V1PodSpec } from "@kubernetes/client-node";
import { CLIENT_IMAGE } from "./client-image.ts";

/** The ServiceAccount of all workloads, and the role that it is annotated with. */
export const SERVICE_ACCOUNT = "app";
export const ROLE_NAME = "app";

/** A container that says who it is, and ends. */
export function client(name: string, more: Partial<V1Container> = {}): V1Container {
  return { name, image: CLIENT_IMAGE, imagePullPolicy: "Never", ...more };
}

/** A container that says who it is, and stays. */
export function stayingClient(name: string, more: Partial<V1Container> = {}): V1Container {
  const script = "await import('/client/sdk-v3.mjs'); setInterval(() => {}, 60_000);";
  return client(name, { args: ["--input-type=module", "--eval", script], ...more });
}

/** Nothing in it speaks of AWS but the name of the ServiceAccount. */
export function podSpec(spec: Partial<V1PodSpec>): Partial<V1PodSpec> {
  // As the first process of its container Node does not hear SIGTERM.
  return { serviceAccountName: SERVICE_ACCOUNT, terminationGracePeriodSeconds: 0, ...spec };
}

/** A pod that ends when its containers do. */
export function endingPod(
  name: string,
  own: Partial<V1PodSpec> = {},
  annotations: Readonly<Record<string, string>> = {},
): object {
  const all = { containers: [client("app")], restartPolicy: "Never", ...own };
  const { metadata, spec } = template(name, podSpec(all));
  return { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, annotations }, spec };
}

export function deployment(name: string): object {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    ...controlled(name, { containers: [stayingClient("app")] }),
  };
}

export function statefulSet(name: string): object {
  const { metadata, spec } = controlled(name, { containers: [stayingClient("app")] });
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata,
    spec: { ...spec, serviceName: name },
  };
}

/** Due at the next full minute. */
export function cronJob(name: string): object {
  const pod = template(name, podSpec({ containers: [client("app")], restartPolicy: "Never" }));
  return {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name },
    spec: { schedule: "* * * * *", jobTemplate: { spec: { template: pod } } },
  };
}

function controlled(name: string, spec: Partial<V1PodSpec>) {
  return {
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: template(name, podSpec(spec)),
    },
  };
}

function template(name: string, spec: Partial<V1PodSpec>) {
  return { metadata: { name, labels: { app: name } }, spec };
}
