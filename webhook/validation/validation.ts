import { z } from "zod";
import type { NamespacePolicy } from "../../lib/namespace-policy.ts";
import {
  allowed,
  deniedAnswer,
  type ReviewAnswer,
  type ReviewRequest,
} from "../admission/review.ts";
import { validateNamespace } from "./validate-namespace.ts";
import {
  validateServiceAccount,
  type ValidatedObject,
  type ValidationSettings,
} from "./validate-service-account.ts";

/** Whether a mistake in a ServiceAccount or Namespace is told, or keeps the object out. */
export type ValidationMode = "warn" | "deny";
export const VALIDATION_MODES = ["warn", "deny"] as const satisfies readonly ValidationMode[];

export interface Validation {
  readonly answer: ReviewAnswer;
  readonly outcome: "accepted" | "warned" | "denied";
  /** One sentence each, those that are new first; the last counts what is beyond {@link MAX_TOLD}. */
  readonly problems: readonly string[];
}

const text = z.string().nullish();
const Metadata = z.looseObject({
  metadata: z.looseObject({
    name: text,
    annotations: z.record(z.string(), text).nullish(),
    labels: z.record(z.string(), text).nullish(),
    deletionTimestamp: text,
  }),
});

/**
 * Judges a ServiceAccount or a Namespace that is created or changed. With `deny` it is kept out when
 * the change brings a mistake in; one that was there before is only told, so that controllers can
 * still change the rest. What is on its way out is never kept from it.
 *
 * @param policy Of the ServiceAccount's namespace.
 */
export function validationOf(
  request: ReviewRequest,
  {
    settings,
    mode,
    policy,
  }: {
    readonly settings: ValidationSettings;
    readonly mode: ValidationMode;
    readonly policy: NamespacePolicy;
  },
): Validation {
  const { uid, typeMeta, resource } = request;
  const problemsOf = (object: unknown): readonly string[] => {
    const judged = judgedPart(object);
    if (judged === undefined) return [];
    return resource === "namespaces"
      ? validateNamespace(judged, settings)
      : validateServiceAccount(judged, settings, policy);
  };
  const isJudged =
    ["CREATE", "UPDATE"].includes(request.operation) &&
    ["serviceaccounts", "namespaces"].includes(resource);
  const all = isJudged ? problemsOf(request.object) : [];
  const before = new Set(isJudged ? problemsOf(request.oldObject) : []);
  const fresh = all.filter((problem) => !before.has(problem));
  const known = all.filter((problem) => before.has(problem));
  const problems = firstOf([...fresh, ...known]);
  if (mode === "deny" && fresh.length > 0 && !isLeaving(request.object)) {
    const answer = deniedAnswer(request, problems.join("; "), { decision: "denied" });
    return { answer, outcome: "denied", problems };
  }
  const outcome = problems.length === 0 ? "accepted" : "warned";
  const answer = allowed(uid, typeMeta, {
    auditAnnotations: { decision: outcome },
    ...(problems.length > 0 ? { warnings: problems } : {}),
  });
  return { answer, outcome, problems };
}

/** The API server passes on 4096 characters of warnings, and nobody reads more. */
const MAX_TOLD = 20;

function firstOf(problems: readonly string[]): readonly string[] {
  if (problems.length <= MAX_TOLD) return problems;
  return [...problems.slice(0, MAX_TOLD), `${problems.length - MAX_TOLD} more mistakes`];
}

function judgedPart(object: unknown): ValidatedObject | undefined {
  const parsed = Metadata.safeParse(object);
  if (!parsed.success) return undefined;
  const { annotations, labels } = parsed.data.metadata;
  return { annotations: annotations ?? {}, labels: labels ?? {} };
}

function isLeaving(object: unknown): boolean {
  return Boolean(Metadata.safeParse(object).data?.metadata.deletionTimestamp);
}
