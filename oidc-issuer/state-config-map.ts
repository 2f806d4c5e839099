import { z } from "zod";
import { AppError } from "../lib/errors.ts";
import type { KubeAnswer, Transport } from "../lib/kube/transport.ts";
import type { Logger } from "../lib/log.ts";
import { formatKeyState, parseKeyState } from "./key-state-text.ts";
import { combineKeyStates, type KeyState } from "./merge.ts";
import type { StateStore } from "./state-store.ts";

const DATA_KEY = "state.json";
/** Where an unusable state is kept for a human. */
const CORRUPT_DATA_KEY = "state.json.corrupt";

/** Replicas that write at the same time get through one after the other. */
const MAX_TRIES = 5;

const ConfigMap = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string().min(1) }),
  data: z.record(z.string(), z.string()).nullish(),
});
type ConfigMap = z.infer<typeof ConfigMap>;

/**
 * Keeps the state in a ConfigMap, which replicas share: each write names the version it is based on,
 * and a replica that comes second takes in what the first has written.
 */
export function createStateConfigMap(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  options: {
    readonly kube: Pick<Transport, "request">;
    readonly timeoutMs: number;
    readonly log: Pick<Logger, "error">;
  },
): StateStore {
  const { kube, timeoutMs, log } = options;
  const id = `ConfigMap ${namespace}/${name}`;
  const collection = `/api/v1/namespaces/${namespace}/configmaps`;
  /** The object as last read or written; undefined before that, "none" when there is none. */
  let current: ConfigMap | "none" | undefined;

  async function load(): Promise<KeyState | undefined> {
    const answer = await kube.request({ path: `${collection}/${name}`, timeoutMs });
    if (answer.status === 404) {
      current = "none";
      return undefined;
    }
    const read = objectOf(answer, "read");
    const text = read.data?.[DATA_KEY];
    try {
      const state = text === undefined ? undefined : parseKeyState(text);
      current = read;
      return state;
    } catch (err) {
      if (!(err instanceof AppError)) throw err;
      log.error({ err, configMap: id }, "Put the unusable stored state aside");
      current = { ...read, data: { ...read.data, [CORRUPT_DATA_KEY]: text ?? "" } };
      return undefined;
    }
  }

  /** @returns undefined when somebody else was first. */
  async function write(state: KeyState): Promise<ConfigMap | undefined> {
    const text = formatKeyState(state);
    const answer =
      current === "none" || current === undefined
        ? await kube.request({
            method: "POST",
            path: collection,
            body: {
              apiVersion: "v1",
              kind: "ConfigMap",
              metadata: { name, namespace },
              data: { [DATA_KEY]: text },
            },
            timeoutMs,
          })
        : await kube.request({
            method: "PUT",
            path: `${collection}/${name}`,
            body: { ...current, data: { ...current.data, [DATA_KEY]: text } },
            timeoutMs,
          });
    // 404: deleted since it was read.
    return answer.status === 409 || answer.status === 404 ? undefined : objectOf(answer, "write");
  }

  function objectOf({ status, body }: KubeAnswer, verb: "read" | "write"): ConfigMap {
    const parsed = ConfigMap.safeParse(body);
    if ((status === 200 || status === 201) && parsed.success) return parsed.data;
    const message = `Cannot ${verb} ${id}: expected a ConfigMap, got HTTP ${status}`;
    throw new AppError("KUBERNETES_REFUSED", 503, message);
  }

  return {
    id,
    load,
    async save(state) {
      let others: KeyState | undefined;
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        if (current === undefined) {
          others = await load();
        }
        const written = await write(others === undefined ? state : combineKeyStates(state, others));
        current = written;
        if (written !== undefined) return others;
      }
      const message = `Cannot write ${id}: others changed it ${MAX_TRIES} times in a row`;
      throw new AppError("KUBERNETES_REFUSED", 503, message);
    },
  };
}
