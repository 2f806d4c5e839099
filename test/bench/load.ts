import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { z } from "zod";

/** What the load program is told, as JSON. */
export const LoadJob = z.object({
  host: z.string(),
  port: z.int(),
  /** With it HTTPS is spoken. */
  caFile: z.string().optional(),
  method: z.string(),
  path: z.string(),
  /** The connections are spread over them. */
  callers: z
    .array(
      z.object({
        /** Where its connections come from; the system chooses when absent. */
        localAddress: z.string().optional(),
        headers: z.record(z.string(), z.string()),
      }),
    )
    .min(1),
  /** The body that is sent again and again; none when absent. */
  bodyFile: z.string().optional(),
  /** Whether a caller's answers may differ, though not in length. */
  answersDiffer: z.boolean().optional(),
  /** Whether it has a core for itself, on which it then never sleeps. */
  hasOwnCore: z.boolean().optional(),
  connections: z.int().min(1).max(64),
  seconds: z.number().positive().max(60),
  maxRequests: z.int().positive(),
});
export type LoadJob = z.infer<typeof LoadJob>;

/** What the load program tells, as JSON. */
export const LoadResult = z.object({
  requests: z.int().positive(),
  perSecond: z.number().positive(),
  p50Ms: z.number().positive(),
  p99Ms: z.number().positive(),
  /** The longest wait for the first answer on a connection, when all ask at once; not in the others. */
  slowestFirstMs: z.number().positive(),
  /** The body of the first answer to each caller that had a connection. */
  answers: z.array(z.string()).min(1),
});
export type LoadResult = z.infer<typeof LoadResult>;

const HEAD_END = "\r\n\r\n";
const GOOD_START = "HTTP/1.1 200 ";

/**
 * A closed loop over HTTP: each connection asks, waits for the answer, and asks again. Written on the
 * bare socket, since an HTTP client would need more time than the servers that it measures.
 *
 * @throws Error when an answer is not 200, or is another than the first of its caller.
 */
export async function runLoad(job: LoadJob): Promise<LoadResult> {
  const body = job.bodyFile === undefined ? Buffer.alloc(0) : await readFile(job.bodyFile);
  const ca = job.caFile === undefined ? undefined : await readFile(job.caFile);
  const callers = job.callers.slice(0, job.connections).map(({ localAddress, headers }) => {
    const head = headOf(job, { ...headers, ...lengthHeader(job.method, body) });
    return {
      localAddress,
      request: Buffer.concat([Buffer.from(head), body]),
      answers: new SameAnswers(job.answersDiffer ?? false),
    };
  });
  const sockets: Socket[] = [];
  // To wake a client that sleeps costs the server some microseconds, in a virtual machine as many as a
  // small answer, and how often it has to depends on its speed. Clients elsewhere do sleep.
  const awake = job.hasOwnCore === true ? stayAwake() : undefined;
  try {
    const lanes: ((onDuration: (durationMs: number) => boolean) => Promise<void>)[] = [];
    for (let i = 0; i < job.connections; i += 1) {
      const caller = callers[i % callers.length];
      if (caller === undefined) continue;
      const { localAddress, request, answers } = caller;
      const socket = await open(job, ca, localAddress);
      sockets.push(socket);
      const lane = new Lane(socket, request);
      lanes.push((onDuration) =>
        lane.run((answer, durationMs) => {
          answers.add(answer);
          return onDuration(durationMs);
        }),
      );
    }
    // A server may have much to do once for a connection, which would hide what it does for a request.
    const firstMs: number[] = [];
    await Promise.all(
      lanes.map((run) =>
        run((durationMs) => {
          firstMs.push(durationMs);
          return false;
        }),
      ),
    );

    const durationsMs: number[] = [];
    const startMs = performance.now();
    const untilMs = startMs + job.seconds * 1000;
    const isOver = (): boolean =>
      performance.now() >= untilMs || durationsMs.length >= job.maxRequests;
    await Promise.all(
      lanes.map((run) =>
        run((durationMs) => {
          durationsMs.push(durationMs);
          return !isOver();
        }),
      ),
    );
    const seconds = (performance.now() - startMs) / 1000;
    const sorted = Float64Array.from(durationsMs).toSorted();
    return {
      requests: sorted.length,
      perSecond: sorted.length / seconds,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      slowestFirstMs: Math.max(...firstMs),
      answers: callers.map(({ answers }) => answers.first.toString()),
    };
  } finally {
    awake?.[Symbol.dispose]();
    for (const socket of sockets) socket.destroy();
  }
}

/** Looks for events without a pause, until it is disposed of. */
function stayAwake(): Disposable {
  let next = setImmediate(look);
  function look(): void {
    next = setImmediate(look);
  }
  return { [Symbol.dispose]: () => clearImmediate(next) };
}

/** As HTTP clients send it (RFC 9110, section 8.6): not where nobody expects a body. */
function lengthHeader(method: string, body: Buffer): Readonly<Record<string, string>> {
  return method === "GET" && body.length === 0 ? {} : { "Content-Length": String(body.length) };
}

function headOf(
  { host, port, method, path }: LoadJob,
  headers: Readonly<Record<string, string>>,
): string {
  const all = { Host: `${host}:${port}`, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} HTTP/1.1`, ...lines].join("\r\n") + HEAD_END;
}

async function open(
  { host, port }: LoadJob,
  ca: Buffer | undefined,
  localAddress: string | undefined,
): Promise<Socket> {
  const place = { host, port, ...(localAddress === undefined ? {} : { localAddress }) };
  const socket = ca === undefined ? connectTcp(place) : connectTls({ ...place, ca });
  await once(socket, ca === undefined ? "connect" : "secureConnect");
  return socket.setNoDelay(true);
}

/** The value that this share of the sorted values does not exceed; 0 of none. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

class SameAnswers {
  readonly #mayDiffer: boolean;
  #first: Buffer | undefined;

  constructor(mayDiffer: boolean) {
    this.#mayDiffer = mayDiffer;
  }

  get first(): Buffer {
    if (this.#first === undefined) throw new Error("There was no answer");
    return this.#first;
  }

  add(answer: Buffer): void {
    this.#first ??= Buffer.from(answer);
    const isSame = this.#mayDiffer
      ? this.#first.length === answer.length
      : this.#first.equals(answer);
    if (!isSame) throw new Error("The answers to one request differ");
  }
}

/** Told of an answer, and how long it took; whether to ask again. */
type OnAnswer = (answer: Buffer, durationMs: number) => boolean;

/** A connection that asks for the same again and again. */
class Lane {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #received: Buffer = Buffer.alloc(0);
  /** Length of the last answer with its head, and where its body began. */
  #shape = { length: 0, bodyStart: 0 };
  #sentMs = 0;
  #onAnswer: OnAnswer | undefined;
  #done = Promise.withResolvers<void>();

  constructor(socket: Socket, request: Buffer) {
    this.#socket = socket;
    this.#request = request;
    // For as long as it is open: a connection that ends between two runs fails the second.
    const fail = (err: Error): void => this.#done.reject(err);
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("The server closed a connection")));
    socket.on("data", (chunk: Buffer) => {
      try {
        this.#receive(chunk);
      } catch (err) {
        this.#done.reject(err);
      }
    });
    // Who runs it hears of it; before that nobody does.
    this.#done.promise.catch(() => {});
  }

  /** Asks until `onAnswer` says no. */
  async run(onAnswer: OnAnswer): Promise<void> {
    this.#onAnswer = onAnswer;
    this.#post();
    await this.#done.promise;
    this.#done = Promise.withResolvers();
    this.#done.promise.catch(() => {});
  }

  #post(): void {
    this.#sentMs = performance.now();
    this.#socket.write(this.#request);
  }

  #receive(chunk: Buffer): void {
    const answer = this.#answerWith(chunk);
    if (answer === undefined) return;
    if (this.#onAnswer?.(answer, performance.now() - this.#sentMs) === true) this.#post();
    else this.#done.resolve();
  }

  #answerWith(chunk: Buffer): Buffer | undefined {
    // Looking into each head anew would take as long as a fast server takes.
    if (this.#received.length === 0 && hasShape(chunk, this.#shape)) {
      return chunk.subarray(this.#shape.bodyStart);
    }
    const received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const answer = wholeAnswerOf(received);
    this.#received = answer === undefined ? received : Buffer.alloc(0);
    if (answer !== undefined) {
      this.#shape = { length: received.length, bodyStart: received.length - answer.length };
    }
    return answer;
  }
}

/** Whether an answer is whole by being as long as another one, with a body that begins where that's did. */
export function hasShape(
  received: Buffer,
  { length, bodyStart }: { readonly length: number; readonly bodyStart: number },
): boolean {
  return (
    length > 0 &&
    received.length === length &&
    received.indexOf(HEAD_END) === bodyStart - HEAD_END.length &&
    received.toString("latin1", 0, GOOD_START.length) === GOOD_START
  );
}

/**
 * The body of an HTTP answer with a Content-Length; undefined while it is not there as a whole.
 *
 * @throws Error when it is not 200, or more has come than one answer.
 */
export function wholeAnswerOf(received: Buffer): Buffer | undefined {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = received.toString("latin1", 0, headEnd);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (!head.startsWith(GOOD_START) || length === undefined) {
    throw new Error(`Expected 200 with a Content-Length, got ${JSON.stringify(head)}`);
  }
  const bodyStart = headEnd + HEAD_END.length;
  const excess = received.length - bodyStart - Number(length);
  if (excess > 0) throw new Error(`${excess} bytes too many came after an answer`);
  return excess === 0 ? received.subarray(bodyStart) : undefined;
}
