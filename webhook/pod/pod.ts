import { z } from "zod";
import { AppError } from "../../lib/errors.ts";

// Absent and null are the same to Kubernetes' Go types, so both pass everywhere.
const text = z.string().nullish();

// What is read as it comes, whatever its type: nobody's pod is refused for that.
const anything = z.unknown().optional();

const EnvVar = z.object({ name: text, value: anything, valueFrom: anything });
const VolumeMount = z.object({
  name: text,
  mountPath: text,
  subPath: text,
  subPathExpr: text,
});
const Container = z.object({
  name: text,
  env: z.array(EnvVar).nullish(),
  envFrom: z.array(anything).nullish(),
  volumeMounts: z.array(VolumeMount).nullish(),
});
const EphemeralContainer = Container.extend({ targetContainerName: text });
const ServiceAccountToken = z.object({ audience: text, path: text });
const Volume = z.object({
  name: text,
  projected: z
    .object({
      sources: z.array(z.object({ serviceAccountToken: ServiceAccountToken.nullish() })).nullish(),
    })
    .nullish(),
});
const NodeSelectorRequirement = z.object({
  key: text,
  operator: text,
  values: z.array(text).nullish(),
});
const Affinity = z.object({
  nodeAffinity: z
    .object({
      requiredDuringSchedulingIgnoredDuringExecution: z
        .object({
          nodeSelectorTerms: z
            .array(z.object({ matchExpressions: z.array(NodeSelectorRequirement).nullish() }))
            .nullish(),
        })
        .nullish(),
    })
    .nullish(),
});
const Pod = z.object({
  metadata: z
    .object({
      name: text,
      generateName: text,
      namespace: text,
      annotations: z.record(z.string(), text).nullish(),
      labels: z.record(z.string(), text).nullish(),
      creationTimestamp: anything,
      deletionTimestamp: anything,
    })
    .nullish(),
  spec: z
    .object({
      serviceAccountName: text,
      serviceAccount: text,
      containers: z.array(Container).nullish(),
      initContainers: z.array(Container).nullish(),
      ephemeralContainers: z.array(EphemeralContainer).nullish(),
      volumes: z.array(Volume).nullish(),
      nodeSelector: z.record(z.string(), text).nullish(),
      os: z.object({ name: text }).nullish(),
      affinity: Affinity.nullish(),
      hostNetwork: anything,
    })
    .nullish(),
  status: anything,
});

/** The parts of a Pod (or of a pod template) that the webhook reads; it only ever adds to them. */
export type Pod = z.infer<typeof Pod>;
export type PodSpec = NonNullable<Pod["spec"]>;
export type Container = z.infer<typeof Container> &
  Partial<Pick<z.infer<typeof EphemeralContainer>, "targetContainerName">>;
export type Volume = z.infer<typeof Volume>;
export type VolumeMount = z.infer<typeof VolumeMount>;

/** Annotations of an object, as they came. */
export type Annotations = Readonly<Record<string, string | null | undefined>>;

/**
 * Reads a Pod or a pod template. What the webhook does not read is left out, which takes a third of
 * the time of a copy.
 *
 * @throws AppError REVIEW_INVALID naming every field of a wrong type.
 */
export function parsePod(object: unknown): Pod {
  const parsed = Pod.safeParse(object);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) => `${path.join(".") || "the object"}: ${message}`,
  );
  const message = `Cannot read the object as a Pod: ${problems.join("; ")}`;
  throw new AppError("REVIEW_INVALID", 400, message);
}

/**
 * The ServiceAccount a pod runs as; undefined when it names none, as a mirror pod does. The API
 * server's ServiceAccount admission has filled in `default` before any webhook is asked.
 */
export function serviceAccountNameOf({ spec }: Pod): string | undefined {
  // `serviceAccount` is the deprecated alias that the API server keeps equal.
  return spec?.serviceAccountName || spec?.serviceAccount || undefined;
}
