import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { FreshFlight } from "../../lib/fresh-flight.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import type { Soon } from "../../lib/soon.ts";

export interface ClusterKeysDeps {
  readonly connection: Pick<Transport, "request">;
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, "now">;
  readonly log: Pick<Logger, "info" | "warn">;
}

const PATH = "/openid/v1/jwks";
/** The API server refuses who accepts JSON only. */
const ACCEPT = "application/jwk-set+json";
/** A key that is taken out of the set verifies tokens no longer than this, in milliseconds. */
const MAX_AGE_MS = 5 * 60_000;
/** Unknown key ids come from anybody: they lead to a request no more often than this. */
const RETRY_MS = 10_000;

const Keys = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) });

/**
 * The keys that the cluster signs ServiceAccount tokens with, as its API server publishes them
 * (`/openid/v1/jwks`). They are asked for when they are first needed, when they have become old, and
 * when a token names one that is not known; while the API server cannot be asked, the old ones stay.
 */
export class ClusterKeys {
  readonly #deps: ClusterKeysDeps;
  readonly #flight = new FreshFlight<void>();
  #set: JWTVerifyGetKey | undefined;
  #text = "";
  #readMs = Number.NEGATIVE_INFINITY;
  #triedMs = Number.NEGATIVE_INFINITY;
  #generation = 0;

  constructor(deps: ClusterKeysDeps) {
    this.#deps = deps;
  }

  /** Another number when the keys have changed: what was verified before may hold no longer. */
  get generation(): number {
    return this.#generation;
  }

  /** Reads the keys again when they are old; a promise only when there are none to go on with. */
  refresh(): Soon<void> {
    if (!this.#isOld(this.#readMs, MAX_AGE_MS) || !this.#mayTry()) return undefined;
    const reading = this.#read();
    if (this.#set === undefined) return reading;
    reading.catch(() => {});
    return undefined;
  }

  /** The key of a token, for jose. @throws AppError KUBERNETES_UNAVAILABLE when no keys are known. */
  readonly get: JWTVerifyGetKey = async (header, token) => {
    await this.refresh();
    try {
      return await this.#known()(header, token);
    } catch (err) {
      if (!(err instanceof errors.JWKSNoMatchingKey) || !this.#mayTry()) throw err;
      await this.#read();
      return this.#known()(header, token);
    }
  };

  #known(): JWTVerifyGetKey {
    if (this.#set !== undefined) return this.#set;
    const message = "Cannot verify tokens: the keys of the cluster are not known yet";
    throw new AppError("KUBERNETES_UNAVAILABLE", 503, message);
  }

  #isOld(sinceMs: number, ms: number): boolean {
    const passedMs = this.#deps.clock.now() - sinceMs;
    // Also when the clock was set back.
    return passedMs >= ms || passedMs < 0;
  }

  #mayTry(): boolean {
    return this.#isOld(this.#triedMs, RETRY_MS);
  }

  #read(): Promise<void> {
    return this.#flight.run(PATH, () => this.#fetch());
  }

  async #fetch(): Promise<void> {
    const { connection, timeoutMs, clock, log } = this.#deps;
    this.#triedMs = clock.now();
    try {
      const { status, body } = await connection.request({ path: PATH, accept: ACCEPT, timeoutMs });
      const parsed = Keys.safeParse(body);
      if (status !== 200 || !parsed.success || parsed.data.keys.length === 0) {
        throw new Error(status === 200 ? "it published no keys" : refusalText(status, body));
      }
      this.#keep(parsed.data);
    } catch (err) {
      log.warn({ problem: reasonOf(err) }, "Cannot read the keys of the cluster");
    }
  }

  #keep(keys: JSONWebKeySet): void {
    const { clock, log } = this.#deps;
    this.#readMs = clock.now();
    const text = JSON.stringify(keys);
    if (text === this.#text) return;
    this.#text = text;
    this.#set = createLocalJWKSet(keys);
    this.#generation += 1;
    log.info({ kids: keys.keys.map(({ kid }) => kid) }, "Read the keys of the cluster");
  }
}
