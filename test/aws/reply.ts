import type { ServerResponse } from "node:http";

/** An answer that is ready to be sent, or none at all: the connection is cut. */
export type Reply =
  | {
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string | Buffer;
    }
  | "drop";

/** Sends an answer under a date of the stand-in's clock, which SDKs correct their own by. */
export function sendReply(res: ServerResponse, reply: Reply, nowMs: number): void {
  if (reply === "drop") {
    res.socket?.destroy();
    return;
  }
  const length = String(Buffer.byteLength(reply.body));
  res.writeHead(reply.status, {
    date: new Date(nowMs).toUTCString(),
    "content-length": length,
    ...reply.headers,
  });
  res.end(reply.body);
}
