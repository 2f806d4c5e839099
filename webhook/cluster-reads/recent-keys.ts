/** Keys of what happened a short time ago. Holds no more of them than can be added in that time. */
export class RecentKeys {
  readonly #ageMs: number;
  /** When, by key; the oldest first. */
  readonly #addedMs = new Map<string, number>();

  /** @param ageMs How long a key is recent, in milliseconds. */
  constructor(ageMs: number) {
    this.#ageMs = ageMs;
  }

  /** @param nowMs On any clock, the same for all calls; a key that is there is recent from then on. */
  add(key: string, nowMs: number): void {
    for (const [other, addedMs] of this.#addedMs) {
      if (this.#isRecent(addedMs, nowMs)) break;
      this.#addedMs.delete(other);
    }
    this.#addedMs.delete(key);
    this.#addedMs.set(key, nowMs);
  }

  has(key: string, nowMs: number): boolean {
    const addedMs = this.#addedMs.get(key);
    return addedMs !== undefined && this.#isRecent(addedMs, nowMs);
  }

  /** Also when the clock was put back. */
  #isRecent(addedMs: number, nowMs: number): boolean {
    return Math.abs(nowMs - addedMs) < this.#ageMs;
  }
}
