import { z } from "zod";
import { reasonOf } from "../../lib/errors.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import { metadataOnly } from "../../lib/kube/metadata-only.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import { controllerOf, type Controller } from "./audited-pod.ts";

/** Controllers that have one of their own, which users know, and where they are read. */
const COLLECTIONS: Readonly<Record<string, string>> = {
  "apps/v1/ReplicaSet": "/apis/apps/v1/namespaces/NAMESPACE/replicasets/",
  "batch/v1/Job": "/apis/batch/v1/namespaces/NAMESPACE/jobs/",
};
const TIMEOUT_MS = 10_000;
const MAX_KNOWN = 10_000;

const Readable = z.looseObject({ metadata: z.looseObject({}) });

export interface ControllersDeps {
  readonly connection: Pick<Transport, "request">;
  readonly log: Pick<Logger, "warn">;
}

/**
 * Tells who controls a controller: the Deployment of a ReplicaSet, the CronJob of a Job. That never
 * changes, so each is read once. Needs `get` of replicasets and jobs; without it, or when a read
 * fails, the chain ends at the controller itself.
 */
export class Controllers {
  readonly #deps: ControllersDeps;
  readonly #parents = new Map<string, Controller | undefined>();

  constructor(deps: ControllersDeps) {
    this.#deps = deps;
  }

  /** Whether its chain is known without a read. */
  knows({ apiVersion, kind, uid }: Controller): boolean {
    return COLLECTIONS[`${apiVersion}/${kind}`] === undefined || this.#parents.has(uid);
  }

  /** The controller itself, then the one above it, if any. */
  async chainOf(namespace: string, controller: Controller): Promise<readonly Controller[]> {
    const parent = await this.#parentOf(namespace, controller);
    return parent === undefined ? [controller] : [controller, parent];
  }

  async #parentOf(namespace: string, controller: Controller): Promise<Controller | undefined> {
    const { apiVersion, kind, name, uid } = controller;
    const collection = COLLECTIONS[`${apiVersion}/${kind}`];
    if (collection === undefined) return undefined;
    if (this.#parents.has(uid)) return this.#parents.get(uid);
    const parent = await this.#read(
      collection.replace("NAMESPACE", encodeURIComponent(namespace)) + encodeURIComponent(name),
    );
    const [oldest] = this.#parents.keys();
    if (this.#parents.size >= MAX_KNOWN && oldest !== undefined) this.#parents.delete(oldest);
    this.#parents.set(uid, parent);
    return parent;
  }

  async #read(path: string): Promise<Controller | undefined> {
    const { connection, log } = this.#deps;
    try {
      const request = {
        path,
        accept: metadataOnly("PartialObjectMetadata"),
        timeoutMs: TIMEOUT_MS,
      };
      const { status, body } = await connection.request(request);
      if (status === 404) return undefined;
      if (status !== 200) throw new Error(refusalText(status, body));
      return controllerOf(Readable.parse(body));
    } catch (err) {
      log.warn({ path, problem: reasonOf(err) }, "Cannot read the controller of pods");
      return undefined;
    }
  }
}
