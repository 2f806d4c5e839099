import type { Colors } from "../demo/narrator.ts";
import type { Explanation } from "./explain-pod.ts";
import { STEP_TITLES, type Step, type StepStatus } from "./step.ts";

const MARKS = { ok: "✔", problem: "✘", note: "•", unknown: "?" } as const satisfies Readonly<
  Record<StepStatus, string>
>;

/** The explanation for a reader: a line for each check, and what it means where that matters. */
export function renderExplanation(
  { fine, verdict, next, steps }: Explanation,
  colors: Colors,
): string {
  const paint = {
    ok: colors.green,
    problem: colors.red,
    note: colors.yellow,
    unknown: colors.cyan,
  };
  const lines = steps.flatMap((step, i) => [
    `${paint[step.status](MARKS[step.status])} ${colors.bold(`${i + 1}. ${STEP_TITLES[step.id]}`)}: ${printable(step.found)}`,
    ...detailsOf(step).map((line) => `    ${colors.dim(line)}`),
  ]);
  const end = fine ? colors.green(MARKS.ok) : colors.red(MARKS.problem);
  const command = next === undefined ? [] : [`  Next: ${printable(next)}`];
  return [...lines, "", `${end} ${colors.bold(printable(verdict))}`, ...command, ""].join("\n");
}

function detailsOf({ meaning, next }: Step): readonly string[] {
  return [
    ...(meaning === undefined ? [] : [printable(meaning)]),
    ...(next === undefined ? [] : [`$ ${printable(next)}`]),
  ];
}

/** What others have written, without what would make a terminal do anything but show it. */
function printable(text: string): string {
  return text.replaceAll(
    /\p{Cc}/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
