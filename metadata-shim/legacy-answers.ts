import { whenThere } from "../lib/soon.ts";
import type { AnsweredRequest } from "./app.ts";
import type { Credentials, ObtainCredentials } from "./credentials/credentials.ts";
import type { AnswerFacts, LegacyMetrics } from "./legacy/legacy-metrics.ts";

/** An answer in the terms of kube2iam's and kiam's metrics. */
export function legacyAnswerOf({
  resource,
  method,
  status,
  reason,
  seconds,
}: AnsweredRequest): AnswerFacts {
  const asked = resource === "role-list" ? "list" : resource === "role" ? "credentials" : "other";
  const isOwn =
    reason === "caller-unknown" || reason === "caller-ambiguous" || reason === "no-role";
  const problem = reason === "ok" ? undefined : isOwn ? reason : "other";
  return { asked, method, status, problem, seconds };
}

/** Tells whether credentials that were asked for had been given before. */
export function withLookUps(
  obtain: ObtainCredentials,
  metrics: Pick<LegacyMetrics, "onLookUp">,
): ObtainCredentials {
  const known = new WeakSet<Credentials>();
  return (request) =>
    whenThere(obtain(request), (result) => {
      const isHit = result.status === "good" && known.has(result.credentials);
      metrics.onLookUp(request.role.roleArn, isHit);
      if (result.status === "good") known.add(result.credentials);
      return result;
    });
}
