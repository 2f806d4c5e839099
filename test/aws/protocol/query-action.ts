import type { WebIdentityFacts } from "../call-log.ts";
import type { Account, Principal } from "../store.ts";
import type { QueryParameters } from "./query-parameters.ts";
import type { XmlFields } from "./xml.ts";

/** What a call turns out to be about, for the call log. */
export interface CallFacts {
  accountId?: string;
  principal?: string;
  role?: string;
  webIdentity?: WebIdentityFacts;
  issuedKeyId?: string;
}

/** A Query API call as an action sees it. */
export interface QueryCall {
  readonly parameters: QueryParameters;
  readonly headers: ReadonlyMap<string, string>;
  readonly nowMs: number;
  /** Filled in by the action as it learns. */
  readonly facts: CallFacts;
}

/** A verified signer and the account it belongs to. */
export interface Caller {
  readonly principal: Principal;
  readonly account: Account;
}

/**
 * One action of a Query API; its result becomes `<ActionResult>`, undefined an answer without one.
 *
 * - `unsigned`: for everybody
 * - `signed`: for whoever signs with a key that is valid
 * - `administrator`: signed, and not by a session
 */
export type QueryAction =
  | { readonly access: "unsigned"; run(call: QueryCall): Result }
  | { readonly access: "signed" | "administrator"; run(call: QueryCall, caller: Caller): Result };

type Result = XmlFields | undefined | Promise<XmlFields | undefined>;

/** The actions of one service by name. */
export type QueryActions = Readonly<Record<string, QueryAction>>;
