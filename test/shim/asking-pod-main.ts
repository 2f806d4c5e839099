// A pod of a test, in a network namespace of its own: asks for credentials all the time while it has an
// address, each in turn on a new connection and on one that is kept, and tells of each answer.
// Commands and news are JSON lines: {"start": NAME, "role": NAME} and {"stop": true}.
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { Agent, request, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { z } from "zod";

const Command = z.union([
  z.object({ start: z.string(), role: z.string() }),
  z.object({ stop: z.literal(true) }),
]);
const Document = z.looseObject({ AccessKeyId: z.string() });

const HOST = "169.254.169.254";
const TIMEOUT_MS = 3000;
const PAUSE_MS = 20;
const LIST = "/latest/meta-data/iam/security-credentials/";
const TTL = { "x-aws-ec2-metadata-token-ttl-seconds": "21600" };

/** One pod's life. */
class Life {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #end = new AbortController();
  readonly #name: string;
  readonly #role: string;
  readonly ended: Promise<void>;

  constructor(name: string, role: string) {
    this.#name = name;
    this.#role = role;
    this.ended = this.#ask();
  }

  /** Closes its connections, as the kernel does when processes end. */
  stop(): Promise<void> {
    this.#end.abort();
    this.#agent.destroy();
    return this.ended;
  }

  async #ask(): Promise<void> {
    let session: Readonly<Record<string, string>> | undefined;
    for (let turn = 0; !this.#end.signal.aborted; turn += 1) {
      const agent = turn % 2 === 0 ? this.#agent : undefined;
      try {
        if (session === undefined) {
          const made = await this.#send("PUT", "/latest/api/token", TTL, agent);
          if (made.status === 200) session = { "x-aws-ec2-metadata-token": made.body };
        } else {
          const { status, body } = await this.#send("GET", LIST + this.#role, session, agent);
          const keyId = status === 200 ? Document.parse(JSON.parse(body)).AccessKeyId : undefined;
          // What is not read before the end is not read by the pod.
          if (!this.#end.signal.aborted) tell({ pod: this.#name, status, keyId });
          if (status === 401) session = undefined;
        }
      } catch (err) {
        if (!this.#end.signal.aborted) tell({ pod: this.#name, status: 0, error: String(err) });
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    agent: Agent | undefined,
  ): Promise<{ readonly status: number; readonly body: string }> {
    const signal = AbortSignal.any([this.#end.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const req = request({ host: HOST, method, path, headers, agent: agent ?? false, signal });
    req.end();
    const [res]: IncomingMessage[] = await once(req, "response");
    if (res === undefined) throw new Error("Expected a response");
    return { status: res.statusCode ?? 0, body: await text(res) };
  }
}

function tell(news: unknown): void {
  process.stdout.write(`${JSON.stringify(news)}\n`);
}

let life: Life | undefined;
// Nobody listens any more.
process.stdout.on("error", () => process.exit());
tell({ namespace: readlinkSync("/proc/self/ns/net") });
const lines = createInterface(process.stdin);
lines.on("line", (line) => {
  const command = Command.parse(JSON.parse(line));
  if ("start" in command) life = new Life(command.start, command.role);
  else void life?.stop().then(() => tell({ stopped: true }));
});
lines.on("close", () => process.exit());
