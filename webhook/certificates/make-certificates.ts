import {
  createAuthority,
  issueServingCertificate,
  type Authority,
} from "../../lib/certificates.ts";
import type { Clock } from "../../lib/clock.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";
import {
  expiryMsOf,
  type CertificateSettings,
  type CertificateState,
} from "./certificate-state.ts";
import type { CertificateStepName } from "./next-certificates.ts";

/** Certificates are valid from a while ago, for API servers whose clock is behind. */
export const BACKDATED_MS = 60 * 60 * 1000;

interface Occasion {
  readonly clock: Pick<Clock, "now">;
  readonly settings: CertificateSettings;
}

/** What each step makes of a state. */
const STEPS: Readonly<
  Record<
    Exclude<CertificateStepName, "wait" | "create">,
    (state: CertificateState, occasion: Occasion) => Promise<CertificateState>
  >
> = {
  renew: async (state, { clock, settings }) => ({
    ...state,
    serving: await makeServing(state.signing, clock.now(), settings),
  }),
  "add-ca": async (state, { clock, settings }) => ({
    ...state,
    next: { authority: await makeAuthority(clock.now(), settings) },
  }),
  "note-trust": async ({ next, ...state }, { clock }) =>
    next === undefined ? state : { ...state, next: { ...next, inForceSinceMs: clock.now() } },
  "switch-ca": async ({ signing, next }, { clock, settings }) => {
    const authority = next?.authority ?? (await makeAuthority(clock.now(), settings));
    const serving = await makeServing(authority, clock.now(), settings);
    // Only now, since a key takes its time, and the old CA has a whole overlap from here on.
    return { serving, signing: authority, old: { cert: signing.cert, replacedMs: clock.now() } };
  },
  "retire-ca": async ({ old: _retired, ...state }) => state,
};

/**
 * The state after a step; makes the keys and certificates that it takes.
 *
 * @param state The state before; undefined only for `create`.
 */
export async function afterStep(
  step: Exclude<CertificateStepName, "wait">,
  state: CertificateState | undefined,
  occasion: Occasion,
): Promise<CertificateState> {
  if (step !== "create" && state !== undefined) return STEPS[step](state, occasion);
  const { clock, settings } = occasion;
  const nowMs = clock.now();
  const signing = await makeAuthority(nowMs, settings);
  return { signing, serving: await makeServing(signing, nowMs, settings) };
}

/** A pair that nobody trusts, for a server that must answer probes before it has its real one. */
export async function makeProvisionalPair(occasion: Occasion): Promise<KeyPair> {
  const { serving } = await afterStep("create", undefined, occasion);
  return serving;
}

function makeAuthority(nowMs: number, { caLifetimeMs }: CertificateSettings): Promise<Authority> {
  // A name of its own, so that two of them are told apart in a bundle.
  const name = `irsa-anywhere webhook ${new Date(nowMs).toISOString()}`;
  return createAuthority(name, {
    notBeforeMs: nowMs - BACKDATED_MS,
    notAfterMs: nowMs + caLifetimeMs,
  });
}

function makeServing(
  authority: Authority,
  nowMs: number,
  { names, certificateLifetimeMs }: CertificateSettings,
): Promise<KeyPair> {
  return issueServingCertificate(authority, names, {
    notBeforeMs: nowMs - BACKDATED_MS,
    notAfterMs: Math.min(nowMs + certificateLifetimeMs, expiryMsOf(authority.cert)),
  });
}
