import type { IncomingMessage, RequestListener } from "node:http";
import { AppError } from "../../lib/errors.ts";
import type { Call } from "./call-log.ts";
import { readWireRequest } from "./wire-request.ts";

const MAX_BODY_BYTES = 1024 * 1024;

/** The control URL: GET tells the calls so far as JSON, POST changes the settings. */
export function createControlHandler(deps: {
  readonly calls: () => readonly Call[];
  /** @throws AppError INPUT_INVALID */
  readonly set: (changes: unknown) => void;
}): RequestListener {
  const answer = async (req: IncomingMessage): Promise<Answer> => {
    const request = await readWireRequest(req, MAX_BODY_BYTES);
    if (request === undefined) throw tooLarge();
    if (request.method === "GET") return { status: 200, value: { calls: deps.calls() } };
    if (request.method !== "POST") {
      return { status: 405, value: { message: "Use GET for the calls or POST for changes" } };
    }
    deps.set(parseJson(request.body.toString()));
    return { status: 200, value: {} };
  };
  return (req, res) => {
    void answer(req)
      .catch(refusalOf)
      .then(({ status, value }) => {
        res.writeHead(status, { "content-type": "application/json", allow: "GET, POST" });
        return res.end(`${JSON.stringify(value)}\n`);
      });
  };
}

interface Answer {
  readonly status: number;
  readonly value: unknown;
}

function refusalOf(err: unknown): Answer {
  if (!(err instanceof AppError)) return { status: 500, value: { message: "Internal error" } };
  return { status: err.status, value: { code: err.code, message: err.message } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = 'Cannot read the changes: expected a JSON object such as {"faults": {}}';
    throw new AppError("INPUT_INVALID", 400, message, { cause });
  }
}

function tooLarge(): AppError {
  const message = `Cannot read the changes: expected at most ${MAX_BODY_BYTES} bytes`;
  return new AppError("INPUT_INVALID", 413, message);
}
