import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";

export interface Question {
  readonly host: string;
  readonly port: number;
  /** Where the connection comes from; the system chooses when absent. */
  readonly from?: string | undefined;
  /** GET when absent. */
  readonly method?: string | undefined;
  /** As it goes into the request line. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  readonly body?: string | Buffer | undefined;
}

export interface Reply {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Sends one HTTP request on a connection of its own; nothing is followed or tried again. */
export async function ask({
  host,
  port,
  from,
  method,
  path,
  headers,
  body,
}: Question): Promise<Reply> {
  const req = request({
    host,
    port,
    path,
    method: method ?? "GET",
    headers: Object.fromEntries(
      Object.entries(headers ?? {}).map(([name, value]) => [
        name,
        typeof value === "string" ? value : [...value],
      ]),
    ),
    agent: false,
    ...(from === undefined ? {} : { localAddress: from }),
  });
  // An answer may come before the body is sent, and the end of the connection with it.
  req.on("error", () => {});
  req.end(body);
  const [res]: IncomingMessage[] = await once(req, "response");
  if (res === undefined) throw new Error("Expected a response");
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    body: (await buffer(res)).toString("latin1"),
  };
}

/** Writes bytes on a connection of their own and returns all that comes back until it is closed. */
export async function askRaw(
  { host, port, from }: Pick<Question, "host" | "port" | "from">,
  text: string,
): Promise<string> {
  const socket = connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) });
  await once(socket, "connect");
  socket.write(text, "latin1");
  return (await buffer(socket)).toString("latin1");
}
