import { AppError } from "../../lib/errors.ts";
import { FreshFlight } from "../../lib/fresh-flight.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import { parseObjectList } from "../../lib/kube/object-list.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { KnownPod } from "./known-pod.ts";
import { nodePodsPath } from "./node-pods.ts";

export interface LivePodsDeps {
  readonly connection: Pick<Transport, "request">;
  readonly nodeName: string;
  readonly keep: (object: unknown) => KnownPod | undefined;
  /** Longest wait for the API server. */
  readonly timeoutMs: number;
}

/**
 * Reads past the watch which pods of this node have an address. Everyone's answer rests on a read
 * that began after they asked; those who ask for the same at the same time share it.
 */
export class LivePods {
  readonly #deps: LivePodsDeps;
  readonly #reads = new FreshFlight<readonly KnownPod[]>();

  constructor(deps: LivePodsDeps) {
    this.#deps = deps;
  }

  /**
   * Pods with an address.
   *
   * @param podIp The `status.podIP` that goes with it, as the API has it: the API server then sends
   *   the pods with that one alone, and no others. Without it, it sends all of the node.
   * @throws AppError KUBERNETES_REFUSED, KUBERNETES_UNAVAILABLE; a failure is not remembered.
   */
  async at(address: string, podIp?: string): Promise<readonly KnownPod[]> {
    const { nodeName } = this.#deps;
    const path = nodePodsPath(nodeName, podIp === undefined ? "" : `,status.podIP=${podIp}`);
    const pods = await this.#reads.run(path, () => this.#list(path));
    return pods.filter(({ addresses }) => addresses.includes(address));
  }

  async #list(path: string): Promise<readonly KnownPod[]> {
    const { connection, keep, timeoutMs } = this.#deps;
    const { status, body } = await connection.request({ path, timeoutMs });
    const list = status === 200 ? parseObjectList(body) : { reason: refusalText(status, body) };
    if ("reason" in list) {
      const message = `Cannot read the pods of this node: ${list.reason}`;
      throw new AppError("KUBERNETES_REFUSED", 502, message);
    }
    return list.objects.flatMap((object) => keep(object) ?? []);
  }
}
