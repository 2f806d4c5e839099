import { z } from "zod";
import { reasonOf } from "../../lib/errors.ts";
import { newEphemeralContainers } from "../pod/ephemeral-containers.ts";
import type { Mutation, MutationReason } from "../mutation/mutation.ts";
import { patchText } from "./patch-text.ts";
import { parsePod, type Pod } from "../pod/pod.ts";
import { shownRole } from "../../lib/quoted.ts";

const text = z.string().nullish();

/** `admission.k8s.io/v1` and `/v1beta1` agree in all that is read here. */
const Review = z.object({
  apiVersion: text,
  kind: text,
  request: z
    .object({
      uid: text,
      namespace: text,
      operation: text,
      subResource: text,
      resource: z.object({ group: text, resource: text }).nullish(),
      userInfo: z.unknown().optional(),
      object: z.unknown().optional(),
      oldObject: z.unknown().optional(),
    })
    .nullish(),
});

const Kinded = z.object({ kind: text });

/** The response to the API server; a version and kind only when the request had them. */
export interface ReviewAnswer {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: {
      readonly metadata: object;
      readonly message: string;
      readonly reason?: "Forbidden";
      readonly code?: 403;
    };
    readonly patchType?: "JSONPatch";
    /** Base64 of the patch's JSON. */
    readonly patch?: string;
    /** Kubernetes puts the webhook's name and a slash in front of each key. */
    readonly auditAnnotations?: Readonly<Record<string, string>>;
    readonly warnings?: readonly string[];
  };
}

export type ReviewReason =
  | MutationReason
  | "bad-content"
  | "not-a-pod"
  | "not-a-pod-creation"
  | "not-a-review";

/** What a review is about, and what its answer repeats. */
export interface ReviewRequest {
  readonly uid: string;
  /** Empty for objects of the cluster. */
  readonly namespace: string;
  readonly operation: string;
  /** Plural, with the subresource after a slash: `pods`, `pods/status`; with the group unless core. */
  readonly resource: string;
  /** Who asks for the change, unread: few reviews depend on it. */
  readonly userInfo: unknown;
  readonly object: unknown;
  readonly oldObject: unknown;
  readonly typeMeta: TypeMeta;
}

/** A review that asks for a decision about a new pod, or about new containers of one. */
export interface PodReview {
  readonly uid: string;
  readonly namespace: string;
  readonly pod: Pod;
  /** Names of the new ones, when it is about these alone: of a pod that runs. */
  readonly ephemeralContainers: ReadonlySet<string> | undefined;
  readonly typeMeta: TypeMeta;
}

export interface TypeMeta {
  readonly apiVersion?: string;
  readonly kind?: string;
}

/** The answer depends on nothing but the review itself. */
export interface Answered {
  readonly status: "answered";
  readonly answer: ReviewAnswer;
  readonly reason: ReviewReason;
}

export type ParsedReview = { readonly status: "pod"; readonly review: PodReview } | Answered;

/** Reads an AdmissionReview. What is none gets the answers of AWS's webhook: 200 and not allowed. */
export function parseRequest(
  body: string,
): { readonly status: "request"; readonly request: ReviewRequest } | Answered {
  let json: unknown;
  try {
    json = body === "" ? null : JSON.parse(body);
  } catch {
    // The parser's own message quotes the body, which may hold secrets.
    return notAReview(`json parse error: the body of ${body.length} characters is no JSON`);
  }
  if (json === null) return badContent();
  const parsed = Review.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path.join(".") || "the body"}: ${message}`,
    );
    return notAReview(`json parse error: ${problems.join("; ")}`);
  }
  const { apiVersion, kind, request } = parsed.data;
  if (request === undefined || request === null) return badContent();
  const { resource, subResource } = request;
  const parts = [resource?.group, resource?.resource, subResource];
  return {
    status: "request",
    request: {
      uid: request.uid ?? "",
      namespace: request.namespace ?? "",
      operation: request.operation ?? "",
      resource: parts.filter(Boolean).join("/"),
      userInfo: request.userInfo,
      object: request.object,
      oldObject: request.oldObject,
      typeMeta: { ...(apiVersion ? { apiVersion } : {}), ...(kind ? { kind } : {}) },
    },
  };
}

/**
 * Reads a review of a pod. Only its creation and that of its ephemeral containers need a decision;
 * the rest is allowed as it is.
 */
export function parseReview(body: string): ParsedReview {
  const parsed = parseRequest(body);
  if (parsed.status === "answered") return parsed;
  const { uid, namespace, operation, resource, object, typeMeta } = parsed.request;
  const isCreation = ["", "CREATE"].includes(operation) && ["", "pods"].includes(resource);
  const isDebugging = operation === "UPDATE" && resource === "pods/ephemeralcontainers";
  if (!isCreation && !isDebugging) {
    const reason = "not-a-pod-creation";
    const answer = allowed(uid, typeMeta, { auditAnnotations: { decision: "unchanged", reason } });
    return { status: "answered", answer, reason };
  }
  const objectKind = Kinded.safeParse(object).data?.kind ?? "Pod";
  if (objectKind !== "Pod") {
    const message = `Cannot read the object as a Pod: its kind is ${JSON.stringify(objectKind)}`;
    return answered("not-a-pod", refused(uid, typeMeta, message));
  }
  try {
    const pod = parsePod(object);
    const ephemeralContainers = isDebugging
      ? newEphemeralContainers(pod, parsed.request.oldObject)
      : undefined;
    return { status: "pod", review: { uid, namespace, pod, ephemeralContainers, typeMeta } };
  } catch (err) {
    return answered("not-a-pod", refused(uid, typeMeta, reasonOf(err)));
  }
}

/** The answer that carries a mutation out and says why. */
export function answerOf({ uid, typeMeta }: PodReview, mutation: Mutation): ReviewAnswer {
  const { reason, roleArn, operations, warnings, denial } = mutation;
  const isMutated = operations.length > 0;
  const role = roleArn === undefined ? {} : { "role-arn": shownRole(roleArn) };
  if (denial !== undefined) {
    return deniedAnswer({ uid, typeMeta }, denial, { decision: "denied", reason, ...role });
  }
  return allowed(uid, typeMeta, {
    ...(isMutated
      ? {
          patchType: "JSONPatch",
          patch: Buffer.from(patchText(operations)).toString("base64"),
        }
      : {}),
    auditAnnotations: {
      decision: isMutated ? "mutated" : "unchanged",
      reason,
      ...role,
    },
    ...(warnings.length > 0 ? { warnings } : {}),
  });
}

/** The answer that refuses an object for what it says, with a sentence for its author. */
export function deniedAnswer(
  { uid, typeMeta }: Pick<ReviewRequest, "uid" | "typeMeta">,
  message: string,
  auditAnnotations: Readonly<Record<string, string>>,
): ReviewAnswer {
  const status = { metadata: {}, message, reason: "Forbidden", code: 403 } as const;
  return { ...typeMeta, response: { uid, allowed: false, status, auditAnnotations } };
}

/** The answer that lets an object pass. */
export function allowed(
  uid: string,
  typeMeta: TypeMeta,
  rest: Omit<ReviewAnswer["response"], "uid" | "allowed">,
): ReviewAnswer {
  return { ...typeMeta, response: { uid, allowed: true, ...rest } };
}

function refused(uid: string, typeMeta: TypeMeta, message: string): ReviewAnswer {
  return { ...typeMeta, response: { uid, allowed: false, status: { metadata: {}, message } } };
}

function answered(reason: ReviewReason, answer: ReviewAnswer): Answered {
  return { status: "answered", reason, answer };
}

function badContent(): Answered {
  return answered("bad-content", refused("", {}, "bad content"));
}

function notAReview(problem: string): Answered {
  return answered("not-a-review", refused("", {}, `couldn't get version/kind; ${problem}`));
}
