import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import { isPatchOutdated, refusalText } from "../../lib/kube/api-status.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { startListWatch, type ListWatch } from "../../lib/kube/list-watch.ts";
import { withQuery } from "../../lib/kube/query.ts";
import type { Logger } from "../../lib/log.ts";
import { caBundlePatch, distrusting, WebhookConfigurationObject } from "./ca-bundle-patch.ts";

const KINDS = {
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
  ValidatingWebhookConfiguration: "validatingwebhookconfigurations",
} as const;
type Kind = keyof typeof KINDS;

const TIMEOUT_MS = 10_000;
/** Another program that sets the same field is not fought at full speed. */
export const REPAIR_INTERVAL_MS = 1000;

/** One webhook configuration that is followed. */
interface Followed {
  readonly kind: Kind;
  readonly name: string;
  readonly path: string;
  readonly watch: ListWatch<WebhookConfigurationObject>;
  repairedMs: number;
}

/** What the API server trusts: the `caBundle` of the webhook configurations of some names. */
export class CaBundles implements AsyncDisposable {
  readonly #options: CaBundleOptions;
  readonly #followed: readonly Followed[];

  constructor(options: CaBundleOptions) {
    this.#options = options;
    this.#followed = options.names.flatMap((name) => [
      this.#follow("MutatingWebhookConfiguration", name),
      this.#follow("ValidatingWebhookConfiguration", name),
    ]);
  }

  get synced(): boolean {
    return this.#followed.every(({ watch }) => watch.synced);
  }

  /** Whether each webhook of the configurations that exist trusts exactly these CAs. */
  trusts(caBundlePem: string): boolean {
    return this.#present().every(({ object }) => caBundlePatch(object, caBundlePem).length === 0);
  }

  /** Why the API server would not trust a serving certificate; undefined when it does. */
  distrustOf(servingPem: string): string | undefined {
    if (!this.synced) return "the webhook configurations are not read yet";
    const missing = this.#options.names.find((name) => !this.#has(name));
    if (missing !== undefined) return `MutatingWebhookConfiguration ${missing} does not exist`;
    for (const { followed, object } of this.#present()) {
      const [webhook] = distrusting(object, servingPem);
      if (webhook === undefined) continue;
      return `${followed.kind} ${followed.name}: ${webhook} does not trust the serving certificate`;
    }
    return undefined;
  }

  /**
   * Sets the CAs where they are not as they should be.
   *
   * @returns how long to wait until those are set that were set just before, in milliseconds.
   * @throws AppError KUBERNETES_REFUSED, KUBERNETES_UNAVAILABLE
   */
  async repair(caBundlePem: string): Promise<number> {
    let waitMs = Number.POSITIVE_INFINITY;
    for (const { followed, object } of this.#present()) {
      const patch = caBundlePatch(object, caBundlePem);
      if (patch.length === 0) continue;
      const restMs = followed.repairedMs + REPAIR_INTERVAL_MS - this.#options.clock.now();
      if (restMs > 0) waitMs = Math.min(waitMs, restMs);
      else await this.#patch(followed, patch);
    }
    return waitMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#followed.map(({ watch }) => watch[Symbol.asyncDispose]()));
  }

  #follow(kind: Kind, name: string): Followed {
    const { connection, clock, log, onChange } = this.#options;
    const collection = `/apis/admissionregistration.k8s.io/v1/${KINDS[kind]}`;
    const watch = startListWatch({
      connection,
      path: withQuery(collection, { fieldSelector: `metadata.name=${name}` }),
      metadataOnly: false,
      keep: (object) => WebhookConfigurationObject.parse(object),
      clock,
      log,
      onEvent: ({ type }) => {
        if (type === "listed" || type === "changed") onChange();
      },
    });
    const path = `${collection}/${encodeURIComponent(name)}`;
    return { kind, name, path, watch, repairedMs: Number.NEGATIVE_INFINITY };
  }

  #present(): readonly {
    readonly followed: Followed;
    readonly object: WebhookConfigurationObject;
  }[] {
    return this.#followed.flatMap((followed) => {
      const object = followed.watch.get("", followed.name);
      return object === undefined ? [] : [{ followed, object }];
    });
  }

  #has(name: string): boolean {
    return this.#present().some(
      ({ followed }) => followed.kind === "MutatingWebhookConfiguration" && followed.name === name,
    );
  }

  async #patch(followed: Followed, patch: readonly object[]): Promise<void> {
    const { connection, clock, log, onRepair } = this.#options;
    const { kind, name, path } = followed;
    const { status, body } = await connection.request({
      method: "PATCH",
      path,
      contentType: "application/json-patch+json",
      body: patch,
      timeoutMs: TIMEOUT_MS,
    });
    if (status === 200) {
      followed.repairedMs = clock.now();
      log.info({ kind, name }, "Set the CA bundle");
      onRepair();
      return;
    }
    // Changed or deleted since it was last told; the event that tells of it is on its way.
    if (status === 404 || status === 409 || isPatchOutdated(status, body)) return;
    const message = `Cannot set the CA bundle of ${kind} ${name}: the API server ${refusalText(status, body)}`;
    throw new AppError("KUBERNETES_REFUSED", 503, message);
  }
}

export interface CaBundleOptions {
  readonly connection: Pick<KubeConnection, "request" | "stream">;
  /** Each stands for a Mutating- and a ValidatingWebhookConfiguration, of which the second is optional. */
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** Something about one of them may be different now. */
  readonly onChange: () => void;
  /** A configuration was set right. */
  readonly onRepair: () => void;
}
