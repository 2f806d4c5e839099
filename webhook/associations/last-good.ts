/** A configuration that others write: the last one that could be read stays in use. */
export class LastGood<T, Content = string> {
  readonly #parse: (content: Content) => T;
  readonly #onBad: (err: unknown) => void;
  #value: T;
  #content: Content | undefined;
  #hasGood = false;

  constructor(
    empty: T,
    {
      parse,
      onBad,
    }: {
      /** Throws when the content is not usable. */
      readonly parse: (content: Content) => T;
      readonly onBad: (err: unknown) => void;
    },
  ) {
    this.#value = empty;
    this.#parse = parse;
    this.#onBad = onBad;
  }

  get value(): T {
    return this.#value;
  }

  /** Whether any content could be used so far; else the value says nothing. */
  get hasGood(): boolean {
    return this.#hasGood;
  }

  /** Takes a new content, or tells why not; the same one again is no news. */
  set(content: Content): void {
    if (content === this.#content) return;
    this.#content = content;
    try {
      this.#value = this.#parse(content);
      this.#hasGood = true;
    } catch (err) {
      this.#onBad(err);
    }
  }
}
