import { z } from "zod";
import type { KubeAnswer, KubeRequest, Transport } from "../../lib/kube/transport.ts";

const FakeEvent = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
  involvedObject: z.looseObject({ kind: z.string(), name: z.string(), uid: z.string() }),
  type: z.string(),
  reason: z.string(),
  message: z.string(),
  count: z.number(),
  firstTimestamp: z.string(),
  lastTimestamp: z.string(),
});

/** An Event as it is stored. */
export type FakeEvent = z.infer<typeof FakeEvent>;

/** An API server that knows Events only: it creates, returns and merges them, and refuses a name twice. */
export interface EventServer {
  readonly connection: Pick<Transport, "request">;
  readonly events: ReadonlyMap<string, FakeEvent>;
  readonly requests: readonly KubeRequest[];
  /** Forgets all events, as the end of their time does. */
  expire(): void;
  /** Answers the next request with this status instead. */
  failNext(status: number): void;
}

export function createEventServer(): EventServer {
  const events = new Map<string, FakeEvent>();
  const requests: KubeRequest[] = [];
  let failure: number | undefined;

  function answer({ method, path, body, contentType }: KubeRequest): KubeAnswer {
    if (failure !== undefined) {
      const status = failure;
      failure = undefined;
      return reply(status, { kind: "Status", code: status, message: "asked to fail" });
    }
    const [, namespace = "", name] =
      /^\/api\/v1\/namespaces\/([^/]+)\/events(?:\/([^/]+))?$/.exec(path) ?? [];
    if (method === "POST" && name === undefined) {
      const event = FakeEvent.parse(body);
      const key = `${namespace}/${event.metadata.name}`;
      if (events.has(key)) return reply(409, { kind: "Status", code: 409, message: "exists" });
      events.set(key, event);
      return reply(201, event);
    }
    const key = `${namespace}/${name}`;
    const event = events.get(key);
    if (event === undefined) return reply(404, { kind: "Status", code: 404, message: "not found" });
    if (method === "GET") return reply(200, event);
    if (method !== "PATCH" || contentType !== "application/merge-patch+json") {
      return reply(405, { kind: "Status", code: 405 });
    }
    const merged = FakeEvent.parse({ ...event, ...z.looseObject({}).parse(body) });
    events.set(key, merged);
    return reply(200, merged);
  }

  return {
    connection: {
      request(request) {
        requests.push(request);
        return Promise.resolve(answer(request));
      },
    },
    events,
    requests,
    expire: () => events.clear(),
    failNext: (status) => {
      failure = status;
    },
  };
}

function reply(status: number, body: unknown): KubeAnswer {
  return { status, headers: {}, body };
}
