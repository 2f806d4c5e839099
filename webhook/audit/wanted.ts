import { z } from "zod";
import type { AddOperation } from "../mutation/add-operation.ts";

/** What a container should carry, as the patch of a pod without any identity says. */
export interface Wanted {
  /** What names the identity (a role, an endpoint), and the file of the token. */
  readonly variables: readonly [Variable, Variable];
  readonly audience: string;
  /** Whether its token would have to be mounted first. */
  readonly mountMissing: boolean;
}

interface Variable {
  readonly name: string;
  readonly value: string;
}

/** The two pairs by which AWS SDKs find credentials; a container gets one of them. */
const PAIRS = [
  ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
  ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
] as const;

const Variable = z.looseObject({ name: z.string(), value: z.string() });
const Variables = z.array(z.unknown());
const TokenVolume = z.looseObject({
  projected: z.looseObject({
    sources: z.array(
      z.looseObject({ serviceAccountToken: z.looseObject({ audience: z.string() }) }),
    ),
  }),
});

/** Reads a patch by container (`/spec/containers/0`); only those that it gives an identity. */
export function wantedOf(operations: readonly AddOperation[]): ReadonlyMap<string, Wanted> {
  const env = new Map<string, Map<string, string>>();
  const mounts = new Set<string>();
  let audience = "";
  let volumeMissing = false;
  for (const { path, value } of operations) {
    const [, container = "", field = ""] =
      /^(\/spec\/(?:initContainers|containers)\/\d+)\/(env|volumeMounts)(?:\/-)?$/.exec(path) ?? [];
    if (field === "volumeMounts") mounts.add(container);
    if (field === "env") {
      const variables = env.get(container) ?? new Map<string, string>();
      for (const one of Variables.safeParse(value).data ?? [value]) {
        const variable = Variable.safeParse(one);
        if (variable.success) variables.set(variable.data.name, variable.data.value);
      }
      env.set(container, variables);
    }
    if (path.startsWith("/spec/volumes")) {
      volumeMissing = true;
      for (const one of Variables.safeParse(value).data ?? [value]) {
        const [source] = TokenVolume.safeParse(one).data?.projected.sources ?? [];
        audience = source?.serviceAccountToken.audience ?? audience;
      }
    }
  }
  const wanted = new Map<string, Wanted>();
  for (const [container, variables] of env) {
    for (const [subject, file] of PAIRS) {
      const [subjectValue, fileValue] = [variables.get(subject), variables.get(file)];
      if (subjectValue === undefined || fileValue === undefined) continue;
      wanted.set(container, {
        variables: [
          { name: subject, value: subjectValue },
          { name: file, value: fileValue },
        ],
        audience,
        mountMissing: volumeMissing || mounts.has(container),
      });
    }
  }
  return wanted;
}
