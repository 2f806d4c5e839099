import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { isMutated } from "./answer.ts";

/** What a server does from its start until it knows all ServiceAccounts. */
export interface StartUp {
  /** From the start to the first answer with a patch, in seconds. */
  readonly firstCorrectSeconds: number;
  /** From the start until `/readyz` is 200, in seconds. */
  readonly readySeconds: number;
  /** Reviews that were answered before that; each needed a patch. */
  readonly earlyAnswers: number;
  /** Those of them that were allowed as they were. */
  readonly earlyUnmutated: number;
}

export interface StartUpOptions {
  readonly port: number;
  readonly caPem: string;
  /** The body of the next review, all of which need a patch. */
  readonly nextReview: () => string;
  /** When the process was started, of `performance.now()`. */
  readonly startMs: number;
  /** Rejects when the process has ended. */
  readonly failed: Promise<never>;
}

const CONNECTIONS = 4;
const LIMIT_MS = 120_000;
const REFUSED_PAUSE_MS = 5;
const READY_PAUSE_MS = 10;

/** Posts reviews from the first moment on, as an API server would, until the server is ready. */
export async function observeStartUp(options: StartUpOptions): Promise<StartUp> {
  const { startMs, failed } = options;
  const client = createClient(options);
  const answers: { readonly atMs: number; readonly mutated: boolean }[] = [];
  let readyMs: number | undefined;
  const isOver = (): boolean => {
    if (performance.now() - startMs > LIMIT_MS) throw new Error("The server was never ready");
    return readyMs !== undefined && answers.some(({ mutated }) => mutated);
  };
  const post = async (): Promise<void> => {
    while (!isOver()) {
      const answer = await client.send("POST", "/mutate", options.nextReview());
      if (answer === undefined) await sleep(REFUSED_PAUSE_MS);
      else answers.push({ atMs: performance.now(), mutated: isMutated(answer.body) });
    }
  };
  const watchReady = async (): Promise<void> => {
    while (readyMs === undefined && !isOver()) {
      const answer = await client.send("GET", "/readyz");
      if (answer?.status === 200) readyMs = performance.now();
      else await sleep(READY_PAUSE_MS);
    }
  };
  try {
    const posts = Array.from({ length: CONNECTIONS }, post);
    await Promise.race([Promise.all([watchReady(), ...posts]), failed]);
  } finally {
    client.close();
  }
  const first = answers.find(({ mutated }) => mutated)?.atMs;
  if (first === undefined || readyMs === undefined) throw new Error("The start was not observed");
  const endMs = readyMs;
  const early = answers.filter(({ atMs }) => atMs <= endMs);
  return {
    firstCorrectSeconds: (first - startMs) / 1000,
    readySeconds: (endMs - startMs) / 1000,
    earlyAnswers: early.length,
    earlyUnmutated: early.filter(({ mutated }) => !mutated).length,
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Client {
  /** Undefined while nobody listens. */
  send(method: string, path: string, body?: string): Promise<Answer | undefined>;
  close(): void;
}

function createClient({ port, caPem }: StartUpOptions): Client {
  const agent = new Agent({ keepAlive: true, ca: caPem });
  return {
    async send(method, path, body = "") {
      const headers = {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      };
      const options = { host: "127.0.0.1", port, method, path, agent, headers };
      try {
        const res = await new Promise<IncomingMessage>((resolve, reject) => {
          request(options, resolve).on("error", reject).end(body);
        });
        return { status: res.statusCode ?? 0, body: await text(res) };
      } catch (err) {
        if (err instanceof Error && "code" in err && err.code === "ECONNREFUSED") return undefined;
        throw err;
      }
    },
    close: () => agent.destroy(),
  };
}
