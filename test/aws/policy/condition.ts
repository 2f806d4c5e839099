/** The keys of a request by lower-case name; a key that has no value is absent. */
export type ConditionKeys = ReadonlyMap<string, readonly string[]>;

/** The `Condition` of a statement: operator, then key, then the values to compare with. */
export type Condition = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

interface Comparison {
  readonly matches: (actual: string, wanted: string) => boolean;
  /** True when no wanted value may match: an absent key then satisfies it. */
  readonly isNegated: boolean;
}

const equals = (a: string, b: string): boolean => a === b;
const equalsIgnoringCase = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
const isLike = (actual: string, pattern: string): boolean => wildcard(pattern, "su").test(actual);

const COMPARISONS: ReadonlyMap<string, Comparison> = new Map([
  ["stringequals", { matches: equals, isNegated: false }],
  ["stringnotequals", { matches: equals, isNegated: true }],
  ["stringequalsignorecase", { matches: equalsIgnoringCase, isNegated: false }],
  ["stringnotequalsignorecase", { matches: equalsIgnoringCase, isNegated: true }],
  ["stringlike", { matches: isLike, isNegated: false }],
  ["stringnotlike", { matches: isLike, isNegated: true }],
  ["arnequals", { matches: isLike, isNegated: false }],
  ["arnnotequals", { matches: isLike, isNegated: true }],
  ["arnlike", { matches: isLike, isNegated: false }],
  ["arnnotlike", { matches: isLike, isNegated: true }],
  ["bool", { matches: equalsIgnoringCase, isNegated: false }],
]);

type Quantifier = "ForAnyValue" | "ForAllValues" | undefined;

interface Operator {
  readonly quantifier: Quantifier;
  readonly comparison: Comparison | "Null";
  readonly ifExists: boolean;
}

/** Whether an operator is known here; a policy with another one is refused when it is stored. */
export function isKnownOperator(name: string): boolean {
  return parseOperator(name) !== undefined;
}

/**
 * Whether a request satisfies a condition (IAM User Guide, "Condition operators"): every operator and
 * every key must hold, any one of a key's values will do.
 */
export function isSatisfied(condition: Condition, keys: ConditionKeys): boolean {
  return [...condition].every(([name, wantedByKey]) => {
    const operator = parseOperator(name);
    if (operator === undefined) return false;
    return [...wantedByKey].every(([key, wanted]) =>
      holds(operator, keys.get(key.toLowerCase()), wanted),
    );
  });
}

function holds(
  { quantifier, comparison, ifExists }: Operator,
  actual: readonly string[] | undefined,
  wanted: readonly string[],
): boolean {
  if (comparison === "Null") return wanted.includes(String(actual === undefined));
  const { matches, isNegated } = comparison;
  const holdsFor = (value: string): boolean => wanted.some((w) => matches(value, w)) !== isNegated;
  if (actual === undefined) {
    return ifExists || quantifier === "ForAllValues" || (isNegated && quantifier === undefined);
  }
  if (quantifier === "ForAnyValue") return actual.some(holdsFor);
  // A key with several values is only for the quantifiers.
  return actual.every(holdsFor) && (quantifier === "ForAllValues" || actual.length === 1);
}

function parseOperator(name: string): Operator | undefined {
  const [, prefix, base = "", suffix] =
    /^(?:(forallvalues|foranyvalue):)?([a-z]+?)(ifexists)?$/.exec(name.toLowerCase()) ?? [];
  const comparison = base === "null" ? "Null" : COMPARISONS.get(base);
  if (comparison === undefined) return undefined;
  // IAM User Guide: IfExists can be added to every operator but Null.
  if (comparison === "Null" && (prefix !== undefined || suffix !== undefined)) return undefined;
  const quantifiers = { forallvalues: "ForAllValues", foranyvalue: "ForAnyValue" } as const;
  const quantifier: Quantifier =
    prefix === "forallvalues" || prefix === "foranyvalue" ? quantifiers[prefix] : undefined;
  return { quantifier, comparison, ifExists: suffix !== undefined };
}

/** A pattern in which `*` stands for any text and `?` for any one character. */
export function wildcard(pattern: string, flags: "su" | "isu"): RegExp {
  const source = pattern
    .replaceAll(/[\\^$.+()[\]{}|]/g, (character) => `\\${character}`)
    .replaceAll(/\*+/g, ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`, flags);
}
