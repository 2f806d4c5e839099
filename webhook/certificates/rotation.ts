import { backoffMs } from "../../lib/backoff.ts";
import type { Clock } from "../../lib/clock.ts";
import { AppError, reasonOf } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { CaBundles } from "./ca-bundles.ts";
import { isForeign, type CertificateSecret } from "./certificate-secret.ts";
import {
  caBundleOf,
  expiryMsOf,
  fingerprintOf,
  type CertificateSettings,
  type CertificateState,
} from "./certificate-state.ts";
import { afterStep } from "./make-certificates.ts";
import { nextStep, type CertificateStepName } from "./next-certificates.ts";

/** What was done to the certificates, for the metric. */
export type Rotation = Exclude<CertificateStepName, "wait"> | "restore";

export interface RotationDeps {
  readonly secret: Pick<CertificateSecret, "id" | "synced" | "current" | "isUpToDate" | "write">;
  readonly bundles: Pick<CaBundles, "synced" | "trusts" | "repair">;
  readonly settings: CertificateSettings;
  /** The last usable state that this replica has seen, for a Secret that is lost. */
  readonly lastGood: () => CertificateState | undefined;
  /** Resolves at the next change of the Secret or of a configuration. */
  readonly nextChange: () => Promise<void>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Pick<Logger, "info" | "warn" | "debug">;
  readonly onRotation: (rotation: Rotation) => void;
}

const BACKOFF = { baseMs: 1000, maxMs: 30_000 };
/** A timer that is set for longer would go off at once. */
const MAX_WAIT_MS = 3_600_000;
/** Longest wait for a write to be told. */
const ECHO_MS = 10_000;

/**
 * Keeps the certificates and what trusts them right until `signal` aborts: for the one replica that
 * may. Every step is written to the Secret before the next, so another replica can go on any time.
 */
export async function rotate(deps: RotationDeps, signal: AbortSignal): Promise<void> {
  const { clock, random, log } = deps;
  let failures = 0;
  let lastProblem = "";
  while (!signal.aborted) {
    const changed = deps.nextChange();
    let waitMs: number;
    try {
      waitMs = await round(deps, signal);
      failures = 0;
      lastProblem = "";
    } catch (err) {
      failures += 1;
      waitMs = backoffMs(failures, { ...BACKOFF, random: random() });
      const problem = reasonOf(err);
      log[problem === lastProblem ? "debug" : "warn"]({ problem, waitMs }, "Cannot rotate");
      lastProblem = problem;
    }
    await orSleep(changed, Math.min(waitMs, MAX_WAIT_MS), { clock, signal });
  }
}

/** One step. @returns how long there is nothing to do, unless something changes, in milliseconds. */
async function round(deps: RotationDeps, signal: AbortSignal): Promise<number> {
  const { secret, bundles, settings, clock, log } = deps;
  if (!secret.synced || !bundles.synced) return Number.POSITIVE_INFINITY;
  const stored = secret.current();
  if (stored !== undefined && isForeign(stored)) {
    const message = `Secret ${secret.id} belongs to cert-manager: name another by --tls-secret, or use --in-cluster=false`;
    throw new AppError("CERTIFICATE_INVALID", 500, message);
  }
  const known = stored?.content.status === "usable" ? stored.content.state : undefined;
  const lost = known === undefined ? deps.lastGood() : undefined;
  if (lost !== undefined && clock.now() < expiryMsOf(lost.signing.cert)) {
    // Replicas serve it still, and the API servers trust it.
    await write("restore", lost);
    return 0;
  }

  let repairMs = Number.POSITIVE_INFINITY;
  if (known !== undefined && !bundles.trusts(caBundleOf(known))) {
    // CAs of an older Secret would lock out those who serve the certificate of the newer one.
    if (!(await secret.isUpToDate()) || signal.aborted) return ECHO_MS;
    repairMs = await bundles.repair(caBundleOf(known));
  }
  const nowMs = clock.now();
  const isTrusted = known !== undefined && bundles.trusts(caBundleOf(known));
  const next = nextStep({ state: known, isTrusted, nowMs, settings });
  if (next.step === "wait") return Math.min(repairMs, next.untilMs - nowMs);
  await write(next.step, await afterStep(next.step, known, { clock, settings }));
  return 0;

  async function write(rotation: Rotation, state: CertificateState): Promise<void> {
    if (signal.aborted) return;
    if (await secret.write(state, stored)) {
      deps.onRotation(rotation);
      const facts = {
        rotation,
        secret: secret.id,
        certificate: fingerprintOf(state.serving.cert),
        ca: fingerprintOf(state.signing.cert),
        expires: new Date(expiryMsOf(state.serving.cert)),
        caExpires: new Date(expiryMsOf(state.signing.cert)),
      };
      log.info(facts, "Changed the certificates");
    }
    // Whoever has written it, the next step needs what is stored now.
    const untilMs = clock.now() + ECHO_MS;
    while (!signal.aborted && secret.current()?.version === stored?.version) {
      const leftMs = untilMs - clock.now();
      if (leftMs <= 0) return;
      await orSleep(deps.nextChange(), leftMs, { clock, signal });
    }
  }
}

/** Waits for whichever comes first, and leaves no timer behind. */
async function orSleep(
  event: Promise<void>,
  ms: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  if (ms <= 0) return;
  const done = new AbortController();
  await Promise.race([event, clock.sleep(ms, AbortSignal.any([signal, done.signal]))]);
  done.abort();
}
