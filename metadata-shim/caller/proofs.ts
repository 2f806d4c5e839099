import type { CallerConnection } from "./caller.ts";

/**
 * What was proven of connections: that the other end of one is a pod. It stays true for as long as
 * the connection lives, but is proven anew from time to time: a pod that takes over the address of
 * one that is gone could, with a raw socket, go on in its name.
 */
export class Proofs {
  readonly #maxAgeMs: number;
  readonly #byConnection = new WeakMap<CallerConnection, { podUid: string; atMs: number }>();

  constructor(maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs;
  }

  add(connection: CallerConnection, podUid: string, nowMs: number): void {
    this.#byConnection.set(connection, { podUid, atMs: nowMs });
  }

  has(connection: CallerConnection, podUid: string, nowMs: number): boolean {
    const proof = this.#byConnection.get(connection);
    if (proof?.podUid !== podUid) return false;
    const ageMs = nowMs - proof.atMs;
    // A clock that was set back makes no proof younger.
    return ageMs >= 0 && ageMs <= this.#maxAgeMs;
  }
}
