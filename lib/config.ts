import { Command, CommanderError, Option } from "commander";
import { z } from "zod";
import { AppError } from "./errors.ts";
import { parseGoBoolean } from "./go-values.ts";

/** One thing a program can be told: by flag, else by environment, else its default. */
export interface Setting<T> {
  /** Without the dashes: `token-expiration` is `--token-expiration` and `IRSA_TOKEN_EXPIRATION`. */
  readonly flag: string;
  readonly description: string;
  readonly kind: "value" | "boolean" | "list" | "ignored" | "given";
  /** What the default is, in words of the help; undefined when the setting has none. */
  readonly defaultText: string | undefined;
  /** Turns the text (a list of texts for a list) into the value. */
  readonly schema: z.ZodType<T>;
  /** Whether `--no-flag` is taken for `--flag=false`, as programs do that this one replaces. */
  readonly negatable?: boolean | undefined;
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The validated, frozen values of a table of settings. */
export type ConfigOf<S extends Settings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

type Env = Readonly<Record<string, string | undefined>>;
type FlagValues = Readonly<Record<string, unknown>>;

/** A setting that takes one text. `schema` sees the text, or undefined when nobody gave one. */
export function value<T>(flag: string, schema: z.ZodType<T>, description: string): Setting<T> {
  const fallback = schema.safeParse(undefined);
  const known = fallback.success && fallback.data !== undefined && fallback.data !== "";
  const defaultText = known ? String(fallback.data) : undefined;
  return { flag, description, kind: "value", defaultText, schema };
}

/** A switch: `--flag`, `--flag=true`, `--flag=false`, with Go's spellings of a boolean. */
export function toggle(
  flag: string,
  fallback: boolean,
  description: string,
  { negatable = false }: Pick<Setting<boolean>, "negatable"> = {},
): Setting<boolean> {
  const schema = z.preprocess(
    (text) => (text === undefined ? fallback : parseBoolean(text)),
    z.boolean({ error: "expected true or false" }),
  );
  const defaultText = String(fallback);
  return { flag, description, kind: "boolean", defaultText, schema, negatable };
}

/** A setting that may be given several times; commas separate values in its environment variable. */
export function list(
  flag: string,
  schema: z.ZodType<string>,
  description: string,
): Setting<readonly string[]> {
  return {
    flag,
    description,
    kind: "list",
    defaultText: undefined,
    schema: z.array(schema).default([]),
  };
}

/**
 * Flags of a program that this one replaces, which are accepted and do nothing. The value is the
 * list of those that were given, for one warning; their environment is not read.
 *
 * @param flags Each as commander writes it: `-v, --v <level>`, `--logtostderr [value]`; one that ends in
 *   `[boolean]` is also taken as `--no-flag`.
 */
export function ignored(flags: readonly string[]): Setting<readonly string[]> {
  return {
    flag: flags.join(" | "),
    description: "",
    kind: "ignored",
    defaultText: undefined,
    schema: z.array(z.string()),
  };
}

/**
 * Not a flag of its own: which of these flags were given, by the command line or the environment and
 * with whatever value, for warnings about those that have no effect.
 *
 * @param flags Without the dashes, of settings in the same table.
 */
export function whichGiven(flags: readonly string[]): Setting<readonly string[]> {
  return {
    flag: flags.join(" "),
    description: "",
    kind: "given",
    defaultText: undefined,
    schema: z.array(z.string()),
  };
}

/** A whole number given as text. */
export function integer(bounds: {
  min: number;
  max?: number;
  fallback: number;
}): z.ZodType<number> {
  const { min, max = Number.MAX_SAFE_INTEGER, fallback } = bounds;
  const wanted =
    bounds.max === undefined ? `an integer >= ${min}` : `an integer from ${min} to ${max}`;
  return z.preprocess(
    (text) => (text === undefined ? fallback : parseInteger(text)),
    z.number({ error: `expected ${wanted}` }).refine((n) => n >= min && n <= max, {
      error: `expected ${wanted}`,
    }),
  );
}

/** A table of settings made usable: by a command line, and by tests and other programs. */
export interface ConfigReader<S extends Settings> {
  readonly settings: S;
  /** Declares the flags on a command, so that its help lists them. */
  addTo(command: Command): Command;
  /**
   * The config from the command's parsed flags.
   *
   * @throws AppError CONFIG_INVALID naming every bad value, not just the first.
   */
  read(command: Command, env: Env): ConfigOf<S>;
  /** The same from raw arguments. @throws AppError CONFIG_INVALID also for an unknown flag. */
  parse(argv: readonly string[], env: Env): ConfigOf<S>;
}

/**
 * Makes a reader of a table of settings. Precedence: flag > environment > default.
 *
 * @param check Rules across fields: returns a sentence for each that is broken.
 */
export function defineConfig<const S extends Settings>(
  settings: S,
  check: (config: ConfigOf<S>) => readonly string[] = () => [],
): ConfigReader<S> {
  const addTo = (command: Command): Command => {
    for (const setting of Object.values(settings)) {
      for (const option of optionsOf(setting)) command.addOption(option);
    }
    // Not a hook of commander's: it takes any word behind a switch for the switch's value.
    const parseOptions = command.parseOptions.bind(command);
    command.parseOptions = (argv) => parseOptions(withFullSwitches(command.options, argv));
    return command;
  };
  const read = (command: Command, env: Env): ConfigOf<S> => {
    const config = validate(settings, command.opts(), env);
    const broken = check(config);
    if (broken.length > 0) throw invalid(broken);
    return Object.freeze(config);
  };
  return {
    settings,
    addTo,
    read,
    parse: (argv, env) => {
      const command = addTo(new Command())
        .exitOverride()
        .configureOutput({ writeErr: () => {} });
      try {
        command.allowExcessArguments(false).parse([...argv], { from: "user" });
      } catch (cause) {
        if (!(cause instanceof CommanderError)) throw cause;
        throw invalid([cause.message.replace(/^error: /, "")], { cause });
      }
      return read(command, env);
    },
  };
}

/** The environment variable of a flag: `token-expiration` is `IRSA_TOKEN_EXPIRATION`. */
export function envNameOf(flag: string): string {
  return `IRSA_${flag.replaceAll("-", "_").toUpperCase()}`;
}

function optionsOf(setting: Setting<unknown>): readonly Option[] {
  const { flag, description, kind, defaultText, negatable = false } = setting;
  if (kind === "ignored") return ignoredOptions(flag);
  if (kind === "given") return [];
  const argument = { value: "<value>", boolean: "[boolean]", list: "<value...>" }[kind];
  const facts = [
    ...(kind === "list" ? ["repeatable"] : []),
    ...(defaultText === undefined ? [] : [`default: ${defaultText}`]),
    `env: ${envNameOf(flag)}`,
  ];
  const option = new Option(`--${flag} ${argument}`, `${description} (${facts.join(", ")})`);
  if (kind === "boolean") option.preset("true");
  if (kind === "list") {
    option.variadic = false;
    option.argParser((text, previous: readonly string[] | undefined) => [
      ...(previous ?? []),
      text,
    ]);
  }
  return negatable ? [option, negationOf(option)] : [option];
}

function ignoredOptions(flags: string): readonly Option[] {
  return flags.split(" | ").flatMap((syntax) => {
    const option = new Option(syntax).hideHelp();
    return syntax.endsWith("[boolean]") ? [option, negationOf(option)] : [option];
  });
}

/**
 * Writes `--switch word` as `--switch=true word` unless the word is a boolean: in programs written in
 * Go no word behind a switch is its value, and the word may be a subcommand.
 */
function withFullSwitches(options: readonly Option[], argv: readonly string[]): string[] {
  const full: string[] = [];
  const left = [...argv];
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === "--") return [...full, word, ...left];
    const option = options.find(({ long, short }) => word === long || word === short);
    const [next] = left;
    if (next === undefined) full.push(word);
    else if (option?.required === true) full.push(word, ...left.splice(0, 1));
    else if (option?.flags.endsWith("[boolean]") === true && isOperand(next)) {
      full.push(`${word}=true`);
    } else full.push(word);
  }
  return full;
}

function isOperand(word: string): boolean {
  return !word.startsWith("-") && parseGoBoolean(word) === undefined;
}

function negationOf(option: Option): Option {
  return new Option(`--no-${option.name()}`).hideHelp();
}

function validate<S extends Settings>(settings: S, flags: FlagValues, env: Env): ConfigOf<S> {
  const problems: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(settings)) {
    const { text, source } = given(setting, flags, env);
    const parsed = setting.schema.safeParse(text);
    if (parsed.success) config[key] = parsed.data;
    else {
      const quoted = text === undefined ? "is missing" : JSON.stringify(text);
      problems.push(`${source} ${quoted}: ${parsed.error.issues.map((i) => i.message).join("; ")}`);
    }
  }
  if (problems.length > 0) throw invalid(problems);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each key was parsed by its schema
  return config as ConfigOf<S>;
}

function given(
  { flag, kind }: Setting<unknown>,
  flags: FlagValues,
  env: Env,
): { text: unknown; source: string } {
  if (kind === "ignored") {
    const used = ignoredOptions(flag).filter(
      (option) => !option.negate && flags[option.attributeName()] !== undefined,
    );
    return { text: used.map(({ long }) => long ?? ""), source: "" };
  }
  if (kind === "given") {
    const used = flag.split(" ").filter((name) => isGiven(name, flags, env));
    return { text: used, source: "" };
  }
  const byFlag = byFlagOf(flag, flags);
  if (byFlag !== undefined) return { text: byFlag, source: `--${flag}` };
  const name = envNameOf(flag);
  const byEnv = env[name];
  if (byEnv === undefined) return { text: undefined, source: `--${flag}` };
  return {
    text: kind === "list" ? byEnv.split(",").map((part) => part.trim()) : byEnv,
    source: name,
  };
}

function byFlagOf(flag: string, flags: FlagValues): unknown {
  return flags[new Option(`--${flag}`).attributeName()];
}

function isGiven(flag: string, flags: FlagValues, env: Env): boolean {
  return byFlagOf(flag, flags) !== undefined || env[envNameOf(flag)] !== undefined;
}

function invalid(problems: readonly string[], options?: { cause?: unknown }): AppError {
  const head = problems.length === 1 ? "Cannot use the setting" : "Cannot use these settings";
  return new AppError("CONFIG_INVALID", 500, `${head}:\n  ${problems.join("\n  ")}`, options);
}

function parseBoolean(text: unknown): unknown {
  return typeof text === "string" ? (parseGoBoolean(text) ?? text) : text;
}

function parseInteger(text: unknown): unknown {
  return typeof text === "string" && /^[+-]?\d{1,15}$/.test(text) ? Number(text) : text;
}
