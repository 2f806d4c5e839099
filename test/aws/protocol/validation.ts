import { AwsError } from "./aws-error.ts";
import type { QueryParameters } from "./query-parameters.ts";

/** What a parameter must satisfy, in the terms of AWS's service models. */
export interface Limits {
  readonly min: number;
  readonly max: number;
  /** As the model writes it; the whole value must match. */
  readonly pattern?: string;
  /** The value is a secret: no message quotes it. */
  readonly sensitive?: boolean;
}

/** One parameter: reads its text (undefined when absent) into a value or into broken constraints. */
export interface Field<T> {
  readonly read: (text: string | undefined) => { readonly value: T } | Broken;
}

interface Broken {
  /** Constraints that the value breaks. */
  readonly broken: readonly string[];
  /** How the message shows the value: quoted, `null`, or not at all. */
  readonly shown: string;
}

type Fields = Readonly<Record<string, Field<unknown>>>;
type ValuesOf<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

/**
 * Reads parameters by a table of fields, named as on the wire.
 *
 * @throws AwsError ValidationError naming every broken constraint at once, as AWS does.
 */
export function readParameters<const F extends Fields>(
  parameters: QueryParameters,
  fields: F,
): ValuesOf<F> {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const result = field.read(parameters.get(name));
    if ("value" in result) values[name] = result.value;
    else problems.push(...result.broken.map((rule) => problemText(name, result.shown, rule)));
  }
  if (problems.length > 0) throw validationError(problems);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each value was read by its field
  return values as ValuesOf<F>;
}

/** A text that must be there. */
export function text(limits: Limits): Field<string> {
  return {
    read: (value) =>
      value === undefined
        ? { broken: ["Member must not be null"], shown: " null" }
        : readText(value, limits),
  };
}

/** A text that may be absent. */
export function optionalText(limits: Limits): Field<string | undefined> {
  return { read: (value) => (value === undefined ? { value } : readText(value, limits)) };
}

/** A whole number with a default. */
export function integer(limits: { min: number; max: number; fallback: number }): Field<number> {
  const { min, max, fallback } = limits;
  return {
    read: (value) => {
      if (value === undefined) return { value: fallback };
      const number = /^[+-]?\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return { value: number };
      const broken =
        number > max
          ? `Member must have value less than or equal to ${max}`
          : `Member must have value greater than or equal to ${min}`;
      return { broken: [broken], shown: quote(value) };
    },
  };
}

/** Checks each item of a list. @throws AwsError ValidationError */
export function checkItems(name: string, items: readonly string[], limits: Limits): void {
  const bad = items.some((item) => "broken" in readText(item, limits));
  if (!bad) return;
  const rule = `Member must satisfy constraint: [Member must have length less than or equal to ${limits.max}, Member must have length greater than or equal to ${limits.min}]`;
  throw validationError([problemText(name, quote(`[${items.join(", ")}]`), rule)]);
}

function readText(value: string, { min, max, pattern, sensitive = false }: Limits) {
  const broken: string[] = [];
  if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, "u").test(value)) {
    broken.push(`Member must satisfy regular expression pattern: ${pattern}`);
  }
  if (value.length < min) broken.push(`Member must have length greater than or equal to ${min}`);
  if (value.length > max) broken.push(`Member must have length less than or equal to ${max}`);
  return broken.length === 0 ? { value } : { broken, shown: sensitive ? "" : quote(value) };
}

function quote(value: string): string {
  return ` '${value}'`;
}

function problemText(name: string, shown: string, rule: string): string {
  const member = `${name.charAt(0).toLowerCase()}${name.slice(1)}`;
  return `Value${shown} at '${member}' failed to satisfy constraint: ${rule}`;
}

function validationError(problems: readonly string[]): AwsError {
  const head =
    problems.length === 1 ? "1 validation error" : `${problems.length} validation errors`;
  return new AwsError("ValidationError", 400, `${head} detected: ${problems.join("; ")}`);
}
