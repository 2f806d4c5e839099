import type { KeyState } from "./merge.ts";

/** Keeps the last good keys across restarts. */
export interface StateStore {
  /** For messages: which file or object it is. */
  readonly id: string;
  /**
   * The state that was saved last; undefined when there is none yet. A stored text that cannot be used
   * is put aside, told to the log, and counts as none.
   *
   * @throws when it cannot be told whether there is one.
   */
  load(): Promise<KeyState | undefined>;
  /**
   * Saves a state.
   *
   * @returns what others had stored in the meantime and is stored together with it; undefined when it
   *   was alone.
   * @throws when it could not be saved; what was stored before is then still there.
   */
  save(state: KeyState): Promise<KeyState | undefined>;
}
