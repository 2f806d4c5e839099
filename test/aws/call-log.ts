/** What a web identity token said of itself. */
export interface WebIdentityFacts {
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
  readonly audience: string | undefined;
  readonly kid: string | undefined;
  /** Whether signature, audience and times held; else the other facts are mere claims. */
  readonly isVerified: boolean;
}

/** One call as the stand-in remembers it. It never holds a token, a secret or a signature. */
export interface Call {
  /** ISO 8601, by the stand-in's clock. */
  readonly time: string;
  readonly service: "sts" | "iam" | "s3";
  readonly action: string;
  /** The account the call was about; undefined when it could not be told. */
  readonly accountId: string | undefined;
  /** Who signed the call, once that was verified. */
  readonly principal: string | undefined;
  readonly role: string | undefined;
  readonly webIdentity: WebIdentityFacts | undefined;
  /** Access key id of the credentials that the call gave, as CloudTrail has it. */
  readonly issuedKeyId: string | undefined;
  readonly status: number;
  /** `OK`, or the error code on the wire; `ConnectionDropped` when there was no answer. */
  readonly code: string;
  /** What AWS would not tell the caller of a refusal. */
  readonly detail: string | undefined;
}

/** How many calls are remembered; older ones are forgotten. */
const MAX_CALLS = 10_000;

/** The calls so far, oldest first. */
export class CallLog {
  readonly #calls: Call[] = [];
  readonly #onCall: (call: Call) => void;

  /** @param onCall Told of each call when it ends, for an audit log. */
  constructor(onCall: (call: Call) => void) {
    this.#onCall = onCall;
  }

  add(call: Call): void {
    this.#calls.push(call);
    if (this.#calls.length > MAX_CALLS) this.#calls.shift();
    this.#onCall(call);
  }

  list(): readonly Call[] {
    return [...this.#calls];
  }
}
