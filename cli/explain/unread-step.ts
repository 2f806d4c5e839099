import type { Found } from "./snapshot.ts";
import type { Step, StepId } from "./step.ts";

/** The step about something that could not be read. */
export function unreadStep(
  id: StepId,
  found: Exclude<Found<unknown>, { readonly status: "found" }>,
  what: string,
): Step {
  if (found.status === "forbidden") {
    return {
      id,
      status: "unknown",
      found: `you may not read ${what}`,
      meaning: `The right that is missing: ${found.right}.`,
      next: `kubectl auth can-i ${found.right}`,
    };
  }
  if (found.status === "missing") {
    return { id, status: "unknown", found: `${what}: not there` };
  }
  return { id, status: "unknown", found: `${what} could not be read: ${found.problem}` };
}
