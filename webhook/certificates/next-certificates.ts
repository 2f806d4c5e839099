import {
  expiryMsOf,
  isFor,
  type CertificateSettings,
  type CertificateState,
} from "./certificate-state.ts";

/** What the replica that rotates has to do next. */
export type CertificateStep =
  /** Nothing before `untilMs`, unless something changes. */
  | { readonly step: "wait"; readonly untilMs: number }
  /** Make a CA and a serving certificate; nothing that is there can be used. */
  | { readonly step: "create" }
  /** Issue a new serving certificate by the signing CA. */
  | { readonly step: "renew" }
  /** Make the next CA and have it trusted beside the signing one. */
  | { readonly step: "add-ca" }
  /** Note that every webhook configuration trusts the next CA from now on. */
  | { readonly step: "note-trust" }
  /** Issue a serving certificate by the next CA, which becomes the signing one. */
  | { readonly step: "switch-ca" }
  /** Trust the old CA no longer. */
  | { readonly step: "retire-ca" };

export type CertificateStepName = CertificateStep["step"];

/**
 * Decides the next step of a rotation.
 *
 * A serving certificate is renewed `renewBeforeMs` before its end. A CA is replaced when less than
 * the life of one serving certificate is left to it, in three steps: the new CA is trusted beside
 * the old one for `caOverlapMs`, so that every API server knows it; then the serving certificate
 * comes from it; and the old one stays trusted for `caOverlapMs` more, so that a replica which has
 * not seen that yet is trusted too.
 *
 * @param state Undefined when there is none that can be used.
 * @param isTrusted Whether every webhook configuration has exactly the CAs of the state.
 */
export function nextStep({
  state,
  isTrusted,
  nowMs,
  settings,
}: {
  readonly state: CertificateState | undefined;
  readonly isTrusted: boolean;
  readonly nowMs: number;
  readonly settings: CertificateSettings;
}): CertificateStep {
  if (state === undefined) return { step: "create" };
  const { caOverlapMs, certificateLifetimeMs } = settings;
  const { next, old } = state;
  const caEndMs = expiryMsOf(state.signing.cert);

  if (nowMs >= caEndMs) {
    // Better a certificate that some API server may not trust yet than one that none does.
    const isNextUsable = next !== undefined && nowMs < expiryMsOf(next.authority.cert);
    return { step: isNextUsable ? "switch-ca" : "create" };
  }
  const renewMs = renewalMs(state, nowMs, settings);
  if (nowMs >= renewMs) return { step: "renew" };

  if (next !== undefined) {
    const { inForceSinceMs } = next;
    // A configuration that is not right is set right first; that tells when it has been done.
    if (!isTrusted) return { step: "wait", untilMs: Math.min(renewMs, caEndMs) };
    if (inForceSinceMs === undefined) return { step: "note-trust" };
    // After a long downtime the old CA may not last that long, and its certificate ends with it.
    const restMs = Math.max(0, caEndMs - inForceSinceMs);
    const switchMs = inForceSinceMs + Math.min(caOverlapMs, Math.floor(restMs / 2));
    return nowMs >= switchMs
      ? { step: "switch-ca" }
      : { step: "wait", untilMs: Math.min(switchMs, renewMs, caEndMs) };
  }
  if (old !== undefined) {
    const retireMs = Math.min(old.replacedMs + caOverlapMs, expiryMsOf(old.cert));
    return nowMs >= retireMs
      ? { step: "retire-ca" }
      : { step: "wait", untilMs: Math.min(retireMs, renewMs) };
  }
  const replaceMs = caEndMs - certificateLifetimeMs;
  return nowMs >= replaceMs
    ? { step: "add-ca" }
    : { step: "wait", untilMs: Math.min(replaceMs, renewMs) };
}

/** When a new serving certificate is due; never, while one would not live longer than this. */
function renewalMs(
  { serving, signing }: CertificateState,
  nowMs: number,
  { names, renewBeforeMs, certificateLifetimeMs }: CertificateSettings,
): number {
  if (!names.every((name) => isFor(serving.cert, name))) return nowMs;
  const endMs = expiryMsOf(serving.cert);
  // No certificate outlives its CA.
  const caEndMs = expiryMsOf(signing.cert);
  if (endMs >= caEndMs) return Number.POSITIVE_INFINITY;
  const dueMs = endMs - renewBeforeMs;
  // Certificates count in whole seconds, so a shorter gain would be none.
  const isLonger =
    Math.min(Math.max(nowMs, dueMs) + certificateLifetimeMs, caEndMs) >= endMs + 1000;
  return isLonger ? dueMs : endMs;
}
