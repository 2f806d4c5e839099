import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import type { Lease } from "../../lib/kube/lease.ts";
import type { Logger } from "../../lib/log.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";
import { CaBundles } from "./ca-bundles.ts";
import { CertificateSecret } from "./certificate-secret.ts";
import {
  expiryMsOf,
  fingerprintOf,
  type CertificateSettings,
  type CertificateState,
} from "./certificate-state.ts";
import type { CertificateMetrics } from "./certificate-metrics.ts";
import { rotate } from "./rotation.ts";

export interface OwnCertificatesOptions {
  readonly connection: Pick<KubeConnection, "request" | "stream">;
  /** Whoever holds it rotates. */
  readonly lease: Pick<Lease, "whileHeld">;
  readonly namespace: string;
  readonly secretName: string;
  /** Names of the webhook configurations to keep; none leaves all of them alone. */
  readonly webhookConfigurations: readonly string[];
  readonly settings: CertificateSettings;
  readonly clock: Clock;
  readonly random?: (() => number) | undefined;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  readonly metrics: CertificateMetrics;
  /** Serve this pair from now on. */
  readonly onServing: (pair: KeyPair) => void;
}

/** The certificates that the webhook makes for itself. */
export interface OwnCertificates extends AsyncDisposable {
  /** Why the API server could not reach this replica; undefined when it can. */
  notReadyBecause(): string | undefined;
  /** Resolves when it can; rejects with AppError CERTIFICATE_INVALID when it is stopped before. */
  readonly whenReady: Promise<void>;
}

/**
 * Follows the Secret and serves what it holds; and, while this replica holds the Lease, keeps the
 * Secret and the CA bundles of the webhook configurations right.
 */
export function startOwnCertificates(options: OwnCertificatesOptions): OwnCertificates {
  return new Replica(options);
}

class Replica implements OwnCertificates {
  readonly whenReady: Promise<void>;
  readonly #options: OwnCertificatesOptions;
  readonly #stop = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  readonly #secret: CertificateSecret;
  readonly #bundles: CaBundles;
  #change = Promise.withResolvers<void>();
  #lastGood: CertificateState | undefined;
  /** Version of the Secret that was last looked at. */
  #seenVersion = "";

  constructor(options: OwnCertificatesOptions) {
    this.#options = options;
    this.whenReady = this.#ready.promise;
    // Nobody has to wait for it.
    this.whenReady.catch(() => {});
    const { connection, clock, log, namespace, secretName, settings, metrics } = options;
    const common = { connection, clock, log, onChange: () => this.#look() };
    this.#secret = new CertificateSecret({ ...common, namespace, name: secretName });
    this.#bundles = new CaBundles({
      ...common,
      names: options.webhookConfigurations,
      onRepair: () => metrics.caBundleRepairs.inc(),
    });
    options.lease.whileHeld((signal) =>
      rotate(
        {
          secret: this.#secret,
          bundles: this.#bundles,
          settings,
          lastGood: () => this.#lastGood,
          nextChange: () => this.#change.promise,
          clock,
          random: options.random ?? Math.random,
          log,
          onRotation: (step) => metrics.rotations.inc({ step }),
        },
        AbortSignal.any([signal, this.#stop.signal]),
      ),
    );
  }

  notReadyBecause(): string | undefined {
    if (this.#lastGood === undefined) {
      const id = `Secret ${this.#secret.id}`;
      return this.#secret.synced ? `${id} holds no certificates yet` : `${id} is not read yet`;
    }
    const { cert } = this.#lastGood.serving;
    if (this.#options.clock.now() >= expiryMsOf(cert)) return "the serving certificate has expired";
    return this.#bundles.distrustOf(cert);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#ready.reject(
      new AppError("CERTIFICATE_INVALID", 500, "Stopped before there was a trusted certificate"),
    );
    await this.#secret[Symbol.asyncDispose]();
    await this.#bundles[Symbol.asyncDispose]();
  }

  #look(): void {
    this.#adopt();
    const change = this.#change;
    this.#change = Promise.withResolvers();
    change.resolve();
    if (this.notReadyBecause() === undefined) this.#ready.resolve();
  }

  /** Takes over what the Secret holds, if it is of use. */
  #adopt(): void {
    const stored = this.#secret.current();
    if (stored === undefined || stored.version === this.#seenVersion) return;
    this.#seenVersion = stored.version;
    const { log, metrics, onServing } = this.#options;
    if (stored.content.status === "unusable") {
      const { problem } = stored.content;
      log.error({ secret: this.#secret.id, problem }, "Cannot use the stored certificates");
      return;
    }
    if (stored.content.status === "empty") return;
    const { state } = stored.content;
    const before = this.#lastGood?.serving.cert;
    this.#lastGood = state;
    metrics.caExpirySeconds.set(expiryMsOf(state.signing.cert) / 1000);
    if (state.serving.cert === before) return;
    log.info(
      { certificate: fingerprintOf(state.serving.cert) },
      "Serving a certificate of our own",
    );
    onServing(state.serving);
  }
}
