import { PROFILES, type Profile } from "../../../metadata-shim/role/profile.ts";
import type { ProfileStage } from "./profile-stage.ts";

/** One row of the table: what is done in each profile, and what is to be seen. */
export interface CompatibilityRow {
  /** As in the table: `C01`. */
  readonly id: string;
  readonly title: string;
  /** What pods see, in one line. */
  readonly see: (stage: ProfileStage) => Promise<string>;
  /** The same in each profile, or one for each. */
  readonly expected: string | Readonly<Record<Profile, string>>;
}

/** Makes the function that adds a row to a list. */
export function compatibilityRowsInto(
  rows: CompatibilityRow[],
): (
  id: string,
  title: string,
  expected: CompatibilityRow["expected"],
  see: CompatibilityRow["see"],
) => void {
  return (id, title, expected, see) => void rows.push({ id, title, expected, see });
}

/** What a profile showed of a row. */
export interface CompatibilityResult {
  readonly id: string;
  readonly profile: Profile;
  readonly seen: string;
}

/** Looks at rows in a profile one after the other, whatever comes of them. */
export async function seeRows(
  stage: ProfileStage,
  rows: readonly CompatibilityRow[],
  onResult: (result: CompatibilityResult) => void,
): Promise<void> {
  const { profile } = stage;
  for (const { id, see } of rows) {
    let seen: string;
    try {
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share a stage
      seen = await see(stage);
    } catch (err) {
      seen = err instanceof Error ? (err.stack ?? err.message) : String(err);
    }
    onResult({ id, profile, seen });
  }
}

/** What is to be seen of a row in a profile. */
export function expectedIn({ expected }: CompatibilityRow, profile: Profile): string {
  return typeof expected === "string" ? expected : expected[profile];
}

const CELL = 13;

/** The rows as a table: for each profile the verdict and how what was seen begins, and the title. */
export function compatibilityTable(
  rows: readonly CompatibilityRow[],
  results: readonly CompatibilityResult[],
): string {
  const good = new Map<Profile, number>();
  const lines = rows.map((row) => {
    const cells = PROFILES.map((profile) => {
      const seen = results.find((result) => result.id === row.id && result.profile === profile);
      const isGood = seen?.seen === expectedIn(row, profile);
      if (isGood) good.set(profile, (good.get(profile) ?? 0) + 1);
      const [start = ""] = (seen?.seen ?? "").split(/[ ,;:]/, 1);
      return (isGood ? `ok ${start}` : "FAILED").padEnd(CELL);
    });
    return `${row.id}  ${cells.join("")}${row.title}`;
  });
  const head = `     ${PROFILES.map((profile) => profile.padEnd(CELL)).join("")}`;
  const sums = PROFILES.map((p) => `${p}: ${good.get(p) ?? 0} of ${rows.length} rows\n`);
  return `${head}\n${lines.join("\n")}\n${sums.join("")}`;
}
