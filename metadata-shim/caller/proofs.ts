import type { CallerConnection } from "./caller.ts";

interface Proof {
  readonly podUid: string;
  /** Whether the kernel gave it, which a look at the pod confirms. */
  readonly byKernel: boolean;
  readonly provenMs: number;
  /** When it was last proven or confirmed. */
  readonly seenMs: number;
}

/** How long what was proven of connections holds, in milliseconds. */
export interface ProofAges {
  /** Without another look. */
  readonly unseenMs: number;
  /** With a look at the pod that confirms it. */
  readonly confirmedMs: number;
}

/**
 * What was proven of connections: that the other end of one is a pod. It stays true for as long as
 * the connection lives, but is proven anew from time to time: a pod that takes over the address of
 * one that is gone could, with a raw socket, go on in its name.
 */
export class Proofs {
  readonly #ages: ProofAges;
  readonly #byConnection = new WeakMap<CallerConnection, Proof>();

  constructor(ages: ProofAges) {
    this.#ages = ages;
  }

  add(
    connection: CallerConnection,
    { podUid, byKernel, nowMs }: Pick<Proof, "podUid" | "byKernel"> & { readonly nowMs: number },
  ): void {
    this.#byConnection.set(connection, { podUid, byKernel, provenMs: nowMs, seenMs: nowMs });
  }

  has(connection: CallerConnection, podUid: string, nowMs: number): boolean {
    const proof = this.#byConnection.get(connection);
    return proof?.podUid === podUid && isWithin(nowMs - proof.seenMs, this.#ages.unseenMs);
  }

  /** Whether it holds again once the pod is seen to be still there. */
  isConfirmable(connection: CallerConnection, podUid: string, nowMs: number): boolean {
    const proof = this.#byConnection.get(connection);
    if (proof?.podUid !== podUid || !proof.byKernel) return false;
    return isWithin(nowMs - proof.provenMs, this.#ages.confirmedMs);
  }

  confirm(connection: CallerConnection, nowMs: number): void {
    const proof = this.#byConnection.get(connection);
    if (proof !== undefined) this.#byConnection.set(connection, { ...proof, seenMs: nowMs });
  }
}

/** A clock that was set back makes no proof younger. */
function isWithin(ageMs: number, ms: number): boolean {
  return ageMs >= 0 && ageMs <= ms;
}
