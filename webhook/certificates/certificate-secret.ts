import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { KubeObject } from "../../lib/kube/kube-object.ts";
import { startListWatch, type ListWatch } from "../../lib/kube/list-watch.ts";
import { withQuery } from "../../lib/kube/query.ts";
import type { Logger } from "../../lib/log.ts";
import type { CertificateState } from "./certificate-state.ts";
import { parseSecretData, secretDataOf } from "./secret-data.ts";

const SecretObject = KubeObject.extend({
  data: z.record(z.string(), z.string()).nullish(),
});
const SecretVersions = z.looseObject({
  items: z.array(z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) })),
});
type SecretObject = z.infer<typeof SecretObject>;

/** The Secret as it was last told. */
export interface StoredCertificates {
  readonly object: SecretObject;
  readonly version: string;
  /** What it holds, or why that cannot be used; a Secret may be made empty, for us to fill. */
  readonly content:
    | { readonly status: "usable"; readonly state: CertificateState }
    | { readonly status: "empty" }
    | { readonly status: "unusable"; readonly problem: string };
}

/** Annotation of a Secret that cert-manager keeps, and would write again and again. */
const CERT_MANAGER_KEY = "cert-manager.io/certificate-name";
const TIMEOUT_MS = 10_000;

/** The one Secret that replicas share: followed by all of them, written by one. */
export class CertificateSecret implements AsyncDisposable {
  /** Namespace and name, for messages. */
  readonly id: string;
  readonly #connection: Pick<KubeConnection, "request" | "stream">;
  readonly #namespace: string;
  readonly #name: string;
  readonly #watch: ListWatch<StoredCertificates>;

  constructor(options: {
    readonly connection: Pick<KubeConnection, "request" | "stream">;
    readonly namespace: string;
    readonly name: string;
    readonly clock: Clock;
    readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
    /** Something about it may be different now. */
    readonly onChange: () => void;
  }) {
    const { connection, namespace, name, clock, log, onChange } = options;
    this.#connection = connection;
    this.#namespace = namespace;
    this.#name = name;
    this.id = `${namespace}/${name}`;
    this.#watch = startListWatch({
      connection,
      path: this.#collectionOfOne,
      metadataOnly: false,
      keep: storedOf,
      clock,
      log,
      onEvent: ({ type }) => {
        if (type === "listed" || type === "changed") onChange();
      },
    });
  }

  get synced(): boolean {
    return this.#watch.synced;
  }

  /** Undefined when there is no such Secret. */
  current(): StoredCertificates | undefined {
    return this.#watch.get(this.#namespace, this.#name);
  }

  /**
   * Whether what was last told is what the API server has now; a watch may be behind for minutes.
   *
   * @throws AppError KUBERNETES_REFUSED, KUBERNETES_UNAVAILABLE
   */
  async isUpToDate(): Promise<boolean> {
    const { status, body } = await this.#connection.request({
      path: this.#collectionOfOne,
      timeoutMs: TIMEOUT_MS,
    });
    const list = SecretVersions.safeParse(body).data;
    if (status !== 200 || list === undefined) {
      const message = `Cannot read Secret ${this.id}: the API server ${refusalText(status, body)}`;
      throw new AppError("KUBERNETES_REFUSED", 503, message);
    }
    return list.items[0]?.metadata.resourceVersion === this.current()?.version;
  }

  /**
   * Writes a state over the version it was made from, or creates the Secret.
   *
   * @returns false when somebody else was first.
   * @throws AppError KUBERNETES_REFUSED, KUBERNETES_UNAVAILABLE
   */
  async write(state: CertificateState, basedOn: StoredCertificates | undefined): Promise<boolean> {
    const data = secretDataOf(state);
    const { status, body } = await this.#connection.request(
      basedOn === undefined
        ? {
            method: "POST",
            path: this.#collection,
            body: {
              apiVersion: "v1",
              kind: "Secret",
              metadata: { namespace: this.#namespace, name: this.#name },
              type: "kubernetes.io/tls",
              data,
            },
            timeoutMs: TIMEOUT_MS,
          }
        : {
            method: "PUT",
            path: `${this.#collection}/${encodeURIComponent(this.#name)}`,
            body: { ...basedOn.object, apiVersion: "v1", kind: "Secret", data },
            timeoutMs: TIMEOUT_MS,
          },
    );
    if (status === 200 || status === 201) return true;
    if (status === 409 || (basedOn !== undefined && status === 404)) return false;
    const message = `Cannot write Secret ${this.id}: the API server ${refusalText(status, body)}`;
    throw new AppError("KUBERNETES_REFUSED", 503, message);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#watch[Symbol.asyncDispose]();
  }

  /** What a right to one Secret by its name is enough to list. */
  get #collectionOfOne(): string {
    return withQuery(this.#collection, { fieldSelector: `metadata.name=${this.#name}` });
  }

  get #collection(): string {
    return `/api/v1/namespaces/${encodeURIComponent(this.#namespace)}/secrets`;
  }
}

/** Whether another program keeps this Secret, so that writing it would be a fight. */
export function isForeign({ object }: StoredCertificates): boolean {
  return Object.hasOwn(object.metadata.annotations ?? {}, CERT_MANAGER_KEY);
}

function storedOf(object: KubeObject): StoredCertificates {
  const version = object.metadata.resourceVersion ?? "";
  const parsed = SecretObject.safeParse(object);
  if (!parsed.success) {
    const content = { status: "unusable", problem: "it is no Secret" } as const;
    return { object: { metadata: object.metadata }, version, content };
  }
  const secret = parsed.data;
  const data = secret.data ?? {};
  if (Object.keys(data).length === 0) {
    return { object: secret, version, content: { status: "empty" } };
  }
  try {
    const state = parseSecretData(data);
    return { object: secret, version, content: { status: "usable", state } };
  } catch (err) {
    const content = { status: "unusable", problem: reasonOf(err) } as const;
    return { object: secret, version, content };
  }
}
