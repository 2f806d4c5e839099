import { Writable } from "node:stream";
import { createLogger, type Logger } from "../../lib/log.ts";

/** A real logger that writes into memory: its lines, parsed. */
export function createCollectedLog(): {
  readonly log: Logger;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
} {
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()));
      done();
    },
  });
  return { log: createLogger({ level: "debug", service: "test" }, destination), lines };
}
