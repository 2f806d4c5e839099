import { z } from "zod";
import { AppError, reasonOf } from "../../lib/errors.ts";
import {
  MUTATION_REASONS,
  mutationOf,
  type MutationSettings,
} from "../../webhook/mutation/mutation.ts";
import type { AddOperation } from "../../webhook/mutation/add-operation.ts";
import {
  parsePod,
  serviceAccountNameOf,
  type Annotations,
  type Pod,
} from "../../webhook/pod/pod.ts";
import { objectsIn, podTemplateOf, titleOf } from "../../webhook/pod/pod-templates.ts";
import type { Manifest, ManifestStream } from "./manifest-stream.ts";
import { patchManifest } from "./patch-manifest.ts";

export interface ServiceAccountManifest {
  /** Undefined when it names none: it is then in the namespace of whoever asks. */
  readonly namespace: string | undefined;
  readonly name: string;
  readonly annotations: Annotations;
}

export interface Injected {
  /** The stream after the mutation. */
  readonly text: string;
  /** For people: what was done with each object, or why nothing was. */
  readonly notes: readonly string[];
}

const text = z.string().nullish();
const ServiceAccountKind = z.looseObject({
  apiVersion: z.literal("v1"),
  kind: z.literal("ServiceAccount"),
});
const ServiceAccount = ServiceAccountKind.extend({
  metadata: z.looseObject({
    namespace: text,
    name: z.string(),
    annotations: z.record(z.string(), text).nullish(),
  }),
});

/**
 * The ServiceAccounts of a stream; other objects are passed over.
 *
 * @throws AppError INPUT_INVALID for a ServiceAccount with fields of a wrong type.
 */
export function serviceAccountsIn({
  manifests,
}: ManifestStream): readonly ServiceAccountManifest[] {
  return manifests.flatMap(({ content, place }) =>
    objectsIn(content).flatMap(({ object }) => {
      if (!ServiceAccountKind.safeParse(object).success) return [];
      const parsed = ServiceAccount.safeParse(object);
      if (parsed.success) {
        const { namespace, name, annotations } = parsed.data.metadata;
        return [{ namespace: namespace || undefined, name, annotations: annotations ?? {} }];
      }
      const problems = parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`);
      const message = `Cannot read the ServiceAccount in ${place}: ${problems.join("; ")}`;
      throw new AppError("INPUT_INVALID", 400, message);
    }),
  );
}

export interface InjectionInputs {
  /** Those given first win. */
  readonly serviceAccounts: readonly ServiceAccountManifest[];
  readonly settings: MutationSettings;
  /** Namespace of objects that name none. */
  readonly defaultNamespace: string;
}

/**
 * Mutates every pod and pod template of a stream as the webhook would. What needs nothing stays as
 * it came, byte for byte.
 *
 * @throws AppError INPUT_INVALID for a pod or template with fields of a wrong type.
 */
export function injectManifests(
  { manifests, rest }: ManifestStream,
  inputs: InjectionInputs,
): Injected {
  const notes: string[] = [];
  const texts = manifests.map((manifest) => {
    const operations = objectsIn(manifest.content).flatMap(({ path, object }) => {
      const result = injectObject(object, manifest, inputs);
      notes.push(...result.notes);
      return result.operations.map((op) => ({ ...op, path: pointer(path) + op.path }));
    });
    return operations.length === 0 ? manifest.text : patchManifest(manifest, operations);
  });
  return { text: [...texts, rest].join(""), notes };
}

interface ObjectResult {
  readonly operations: readonly AddOperation[];
  readonly notes: readonly string[];
}

function injectObject(object: unknown, { place }: Manifest, inputs: InjectionInputs): ObjectResult {
  const leftAs = (why: string): ObjectResult => ({
    operations: [],
    notes: [`${place}: ${titleOf(object)}: left as it is: ${why}`],
  });
  if (object === null) return { operations: [], notes: [`${place}: left as it is: empty`] };
  const found = podTemplateOf(object);
  if (found === undefined) return leftAs("it holds no pod");

  const pod = readPod(found.template, place);
  const namespace = found.namespace ?? inputs.defaultNamespace;
  const name = serviceAccountNameOf(pod) ?? "default";
  const serviceAccount = inputs.serviceAccounts.find(
    (candidate) => candidate.name === name && (candidate.namespace ?? namespace) === namespace,
  );
  if (serviceAccount === undefined) {
    return leftAs(`ServiceAccount ${namespace}/${name} is in none of the files`);
  }
  const { reason, roleArn, operations, warnings } = mutationOf({
    pod,
    serviceAccount: { status: "found", annotations: serviceAccount.annotations },
    settings: inputs.settings,
  });
  const told = warnings.map((warning) => `${place}: warning: ${warning}`);
  if (operations.length === 0) {
    return { operations, notes: [...leftAs(MUTATION_REASONS[reason]).notes, ...told] };
  }
  const into = containersOf(pod, operations).join(", ") || "no container";
  return {
    operations: operations.map((op) => ({ ...op, path: pointer(found.path) + op.path })),
    notes: [`${place}: ${titleOf(object)}: injected ${roleArn} into ${into}`, ...told],
  };
}

function readPod(template: unknown, place: string): Pod {
  try {
    return parsePod(template);
  } catch (cause) {
    throw new AppError("INPUT_INVALID", 400, `${reasonOf(cause)}, in ${place}`, { cause });
  }
}

/** Names of the containers that a patch reaches. */
function containersOf({ spec }: Pod, operations: readonly AddOperation[]): readonly string[] {
  const names = operations.flatMap(({ path }) => {
    const [, list, index] = /^\/spec\/(containers|initContainers)\/(\d+)\//.exec(path) ?? [];
    if (list === undefined) return [];
    const containers = list === "containers" ? spec?.containers : spec?.initContainers;
    return [containers?.[Number(index)]?.name ?? ""];
  });
  return [...new Set(names)];
}

/** RFC 6901; the fields on our ways are plain, so nothing needs escaping. */
function pointer(path: readonly string[]): string {
  return path.map((key) => `/${key}`).join("");
}
