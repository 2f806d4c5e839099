import type { Writable } from "node:stream";
import pico from "picocolors";

/** The colours of the output; all plain where it is not coloured. */
export type Colors = ReturnType<typeof pico.createColors>;

/** Tells the reader of a terminal or a pipe what happens, step by step. */
export interface Narrator {
  readonly colors: Colors;
  /**
   * Runs one step. On a terminal its line moves while it runs; in a pipe it is printed when done.
   *
   * @param meaning What the step stands for in a real cluster.
   */
  step<T>(title: string, meaning: string, run: () => Promise<T>): Promise<T>;
  /** Lines that belong to the step before. */
  show(lines: readonly string[]): void;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 80;
const CLEAR_LINE = "\r\u001B[2K";

/** A narrator that says nothing: for `--json`. */
export const silentNarrator: Narrator = {
  colors: pico.createColors(false),
  step: (_title, _meaning, run) => run(),
  show: () => {},
};

/**
 * A narrator that writes to `output`.
 *
 * @param isTerminal Whether lines may move and be coloured.
 */
export function createNarrator(
  output: Writable,
  { isTerminal, isColoured }: { isTerminal: boolean; isColoured: boolean },
): Narrator {
  const colors = pico.createColors(isColoured);
  let number = 0;
  return {
    colors,
    async step(title, meaning, run) {
      number += 1;
      const startMs = performance.now();
      const stopSpinner = isTerminal ? spin(output, `${number}. ${title}`) : () => {};
      try {
        const result = await run();
        stopSpinner();
        const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
        output.write(
          `${colors.green("✔")} ${colors.bold(`${number}. ${title}`)} ${colors.dim(`${seconds} s`)}\n`,
        );
        output.write(`${colors.dim(indent(meaning))}\n`);
        return result;
      } catch (err) {
        stopSpinner();
        output.write(`${colors.red("✘")} ${colors.bold(`${number}. ${title}`)}\n`);
        throw err;
      }
    },
    show(lines) {
      for (const line of lines) output.write(`    ${line}\n`);
    },
  };
}

function spin(output: Writable, title: string): () => void {
  let frame = 0;
  const draw = (): void => {
    output.write(`${CLEAR_LINE}${FRAMES[frame++ % FRAMES.length]} ${title}`);
  };
  draw();
  const timer = setInterval(draw, FRAME_MS);
  return () => {
    clearInterval(timer);
    output.write(CLEAR_LINE);
  };
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");
}
