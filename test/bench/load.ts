import { readFile } from "node:fs/promises";
import { connect, type TLSSocket } from "node:tls";
import { once } from "node:events";
import { z } from "zod";

/** What the load program is told, as JSON. */
export const LoadJob = z.object({
  port: z.int(),
  caFile: z.string(),
  /** The body that is posted again and again. */
  bodyFile: z.string(),
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
  /** The body of the answer, which was the same each time. */
  answer: z.string(),
});
export type LoadResult = z.infer<typeof LoadResult>;

const HEAD_END = "\r\n\r\n";

/**
 * A closed loop over HTTPS: each connection posts, waits for the answer, and posts again. Written on
 * the bare socket, since an HTTP client would need more time than the servers that it measures.
 *
 * @throws Error when an answer is not 200, or is another than the first.
 */
export async function runLoad(job: LoadJob): Promise<LoadResult> {
  const body = await readFile(job.bodyFile);
  const head = [
    "POST /mutate HTTP/1.1",
    `Host: 127.0.0.1:${job.port}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
  ].join("\r\n");
  const request = Buffer.concat([Buffer.from(head + HEAD_END), body]);
  const ca = await readFile(job.caFile);
  const sockets: TLSSocket[] = [];
  try {
    for (let i = 0; i < job.connections; i += 1) {
      const socket = connect({ host: "127.0.0.1", port: job.port, ca });
      sockets.push(socket.setNoDelay(true));
      await once(socket, "secureConnect");
    }
    const answers = new SameAnswers();
    const durationsMs: number[] = [];
    const startMs = performance.now();
    const untilMs = startMs + job.seconds * 1000;
    const isOver = (): boolean =>
      performance.now() >= untilMs || durationsMs.length >= job.maxRequests;
    await Promise.all(
      sockets.map((socket) =>
        loop(socket, request, (answer, durationMs) => {
          answers.add(answer);
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
      answer: answers.first.toString(),
    };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** The value that this share of the sorted values does not exceed; 0 of none. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

class SameAnswers {
  #first: Buffer | undefined;

  get first(): Buffer {
    if (this.#first === undefined) throw new Error("There was no answer");
    return this.#first;
  }

  add(answer: Buffer): void {
    this.#first ??= Buffer.from(answer);
    if (!this.#first.equals(answer)) throw new Error("The answers to one review differ");
  }
}

/** Posts until `onAnswer` says no. */
function loop(
  socket: TLSSocket,
  request: Buffer,
  onAnswer: (answer: Buffer, durationMs: number) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    let sentMs = 0;
    const post = (): void => {
      sentMs = performance.now();
      socket.write(request);
    };
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("The server closed a connection")));
    socket.on("data", (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      try {
        const answer = wholeAnswerOf(received);
        if (answer === undefined) return;
        received = Buffer.alloc(0);
        if (onAnswer(answer, performance.now() - sentMs)) post();
        else resolve();
      } catch (err) {
        reject(err);
      }
    });
    post();
  });
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
  if (!head.startsWith("HTTP/1.1 200 ") || length === undefined) {
    throw new Error(`Expected 200 with a Content-Length, got ${JSON.stringify(head)}`);
  }
  const bodyStart = headEnd + HEAD_END.length;
  const excess = received.length - bodyStart - Number(length);
  if (excess > 0) throw new Error(`${excess} bytes too many came after an answer`);
  return excess === 0 ? received.subarray(bodyStart) : undefined;
}
