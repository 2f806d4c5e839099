// The texts that Go's standard library reads as values: flags and annotations of the programs that
// this project replaces are written for it.

const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Reads a boolean as Go's `strconv.ParseBool`; undefined when the text is none. */
export function parseGoBoolean(text: string): boolean | undefined {
  if (TRUE.has(text)) return true;
  return FALSE.has(text) ? false : undefined;
}

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

/**
 * Reads a whole number as Go's `strconv.ParseInt(text, 10, 64)`: a sign is allowed; white space, an
 * exponent, an underscore and a unit are not. Undefined when the text is none or does not fit.
 */
export function parseGoInteger(text: string): number | undefined {
  // No more digits than fit: reading millions of them, as a pod's annotation may have, takes seconds.
  const [, sign = "", digits] = /^([+-]?)0*(\d{1,19})$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const whole = BigInt(digits) * (sign === "-" ? -1n : 1n);
  return whole < MIN_INT64 || whole > MAX_INT64 ? undefined : Number(whole);
}

const MS_BY_UNIT: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;

/** Reads a duration such as `1m30s` as Go's `time.ParseDuration`, in milliseconds. */
export function parseGoDurationMs(text: string): number | undefined {
  const [, sign = "", rest = ""] = /^([+-]?)(.*)$/.exec(text) ?? [];
  if (rest === "0") return 0;
  const parts = [...rest.matchAll(DURATION_PART)];
  if (rest === "" || parts.map(([part]) => part).join("") !== rest) return undefined;
  const ms = parts.reduce((sum, [, n, unit = ""]) => sum + Number(n) * (MS_BY_UNIT[unit] ?? 0), 0);
  return sign === "-" ? -ms : ms;
}
