import type { Readable, Writable } from "node:stream";

/** The world as a program sees it: the real one comes from `cli/main.ts`, tests pass their own. */
export interface Program {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Aborts when the program is asked to stop (SIGTERM, SIGINT). */
  readonly signal: AbortSignal;
}
