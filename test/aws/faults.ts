import { z } from "zod";
import { AwsError } from "./protocol/aws-error.ts";

const count = z
  .int("expected a whole number >= 0")
  .min(0, "expected a whole number >= 0")
  .default(0);

/** What can be made to go wrong; what is not given does not. */
export const Faults = z.strictObject({
  /** Only calls of these actions suffer; all when absent. */
  actions: z.array(z.string()).optional(),
  /** Every answer comes this much later. */
  latencyMs: count.refine((n) => n <= 600_000, "expected at most 600000"),
  /** So many calls get a 500. */
  serverErrors: count,
  /** So many calls are throttled. */
  throttles: count,
  /** So many connections are cut instead of answered. */
  droppedConnections: count,
  /** So many AssumeRoleWithWebIdentity calls get IDPCommunicationError. */
  idpCommunicationErrors: count,
  /** A new role cannot be assumed before it is this old. */
  propagationDelaySeconds: count,
});

export type Faults = z.infer<typeof Faults>;
type CountedFault = "serverErrors" | "throttles" | "droppedConnections" | "idpCommunicationErrors";

/** What happens to one call: how long it waits, and how it fails, if it does. */
export interface Mishap {
  readonly latencyMs: number;
  readonly failure: AwsError | "drop" | undefined;
}

/** The faults in force; each counted one is used up by the calls that it hits. */
export class FaultPlan {
  #faults: Faults = Faults.parse({});

  /** Replaces all faults. */
  set(faults: Faults): void {
    this.#faults = faults;
  }

  get propagationDelaySeconds(): number {
    return this.#faults.propagationDelaySeconds;
  }

  /** Decides what happens to a call, and takes it off the counts. */
  next(service: "sts" | "iam" | "s3", action: string): Mishap {
    const { actions, latencyMs } = this.#faults;
    if (actions !== undefined && !actions.includes(action)) {
      return { latencyMs: 0, failure: undefined };
    }
    return { latencyMs, failure: this.#nextFailure(service, action) };
  }

  #nextFailure(service: "sts" | "iam" | "s3", action: string): Mishap["failure"] {
    if (this.#use("droppedConnections")) return "drop";
    if (this.#use("throttles")) return service === "s3" ? SLOW_DOWN() : THROTTLING();
    if (this.#use("serverErrors")) return SERVER_ERROR[service]();
    if (action === "AssumeRoleWithWebIdentity" && this.#use("idpCommunicationErrors")) {
      return IDP_COMMUNICATION_ERROR();
    }
    return undefined;
  }

  #use(fault: CountedFault): boolean {
    const left = this.#faults[fault];
    if (left > 0) this.#faults = { ...this.#faults, [fault]: left - 1 };
    return left > 0;
  }
}

const SLOW_DOWN = (): AwsError => new AwsError("SlowDown", 503, "Please reduce your request rate.");
const THROTTLING = (): AwsError => new AwsError("Throttling", 400, "Rate exceeded");
const INTERNAL_MESSAGE = "The request processing has failed because of an unknown error";
const SERVER_ERROR = {
  sts: () => new AwsError("InternalFailure", 500, INTERNAL_MESSAGE),
  iam: () => new AwsError("ServiceFailure", 500, INTERNAL_MESSAGE),
  s3: () => new AwsError("InternalError", 500, "We encountered an internal error."),
} as const;
const IDP_COMMUNICATION_ERROR = (): AwsError =>
  new AwsError(
    "IDPCommunicationError",
    400,
    "An error occurred while trying to communicate with the identity provider",
  );
