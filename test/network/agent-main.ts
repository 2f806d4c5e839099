// Lives in a network namespace of a test and does there what it is told, a JSON line a command:
// serves HTTP, and asks for URLs, if wanted on a connection that is kept. Ends with its stdin.
import { Agent, createServer, get } from "node:http";
import { readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { z } from "zod";

const Command = z.discriminatedUnion("do", [
  z.object({ id: z.int(), do: z.literal("listen"), name: z.string(), port: z.int() }),
  z.object({ id: z.int(), do: z.literal("close"), name: z.string() }),
  z.object({
    id: z.int(),
    do: z.literal("get"),
    url: z.string(),
    /** A name for the connection, which is kept under it; a new one without it. */
    connection: z.string().optional(),
    timeoutMs: z.int(),
    /** Address to come from; the system chooses without it. */
    from: z.string().optional(),
  }),
]);
type Command = z.infer<typeof Command>;

const agents = new Map<string, Agent>();
const servers = new Map<string, () => Promise<void>>();

async function run(command: Command): Promise<unknown> {
  if (command.do === "get") return fetchUrl(command);
  const { name } = command;
  if (command.do === "close") {
    await servers.get(name)?.();
    return name;
  }
  const server = createServer({ keepAliveTimeout: 600_000 }, (req, res) => {
    const { remoteAddress, remotePort } = req.socket;
    res.end(JSON.stringify({ name, remoteAddress, remotePort }));
  });
  servers.set(
    name,
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen(command.port, resolve);
  });
  return name;
}

function fetchUrl({
  url,
  connection,
  timeoutMs,
  from,
}: Extract<Command, { do: "get" }>): Promise<unknown> {
  const agent =
    connection === undefined ? new Agent() : (agents.get(connection) ?? keptAgent(connection));
  return new Promise((resolve) => {
    // A timeout of the request itself would count only from the connection on.
    const signal = AbortSignal.timeout(timeoutMs);
    const own = from === undefined ? {} : { localAddress: from };
    const request = get(url, { agent, signal, ...own }, (res) => {
      void text(res).then((body) => resolve({ status: res.statusCode, ...toldIn(body) }));
    });
    request.on("error", (err: NodeJS.ErrnoException) => {
      resolve({ error: signal.aborted ? "ETIMEDOUT" : err.code });
    });
  });
}

/** What a server of these tests says; others say nothing that is known here. */
function toldIn(body: string): object {
  try {
    return z.looseObject({}).parse(JSON.parse(body));
  } catch {
    return {};
  }
}

function keptAgent(name: string): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.set(name, agent);
  return agent;
}

function tell(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

tell({ namespace: readlinkSync("/proc/self/ns/net") });
const lines = createInterface(process.stdin);
lines.on("line", (line) => {
  const command = Command.parse(JSON.parse(line));
  run(command).then(
    (result) => tell({ id: command.id, result }),
    (err: unknown) => tell({ id: command.id, failure: String(err) }),
  );
});
lines.on("close", () => process.exit());
