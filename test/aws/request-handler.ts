import type { RequestListener } from "node:http";
import { parseQueryParameters, type QueryParameters } from "./protocol/query-parameters.ts";
import type { WireRequest } from "./protocol/sigv4.ts";
import { answerQuery, type QueryService, type ServiceDeps } from "./query-service.ts";
import { sendReply, type Reply } from "./reply.ts";
import { readWireRequest } from "./wire-request.ts";

/** Largest request that is read, in bytes; objects of S3 are the large ones. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

/**
 * The one HTTP surface of all services: a call at `/` with an `Action` is of the Query protocol, and
 * its `Version` says which service it is for; all else is S3.
 */
export function createRequestHandler(
  services: {
    readonly query: readonly QueryService[];
    readonly s3: (request: WireRequest) => Promise<Reply>;
  },
  deps: ServiceDeps,
): RequestListener {
  return (req, res) => {
    const answer = async (): Promise<void> => {
      const request = await readWireRequest(req, MAX_BODY_BYTES);
      if (request === undefined) {
        const headers = { connection: "close" };
        sendReply(res, { status: 413, headers, body: "" }, deps.now());
        return;
      }
      const parameters = queryParametersOf(request);
      const service = services.query.find(({ version }) => version === parameters?.get("Version"));
      const reply =
        parameters === undefined
          ? await services.s3(request)
          : await answerQuery(service ?? fallback(services.query), { request, parameters }, deps);
      sendReply(res, reply, deps.now());
    };
    answer().catch((err: unknown) => {
      deps.onError(err);
      res.destroy();
    });
  };
}

function queryParametersOf(request: WireRequest): QueryParameters | undefined {
  if (request.path !== "/") return undefined;
  const type = request.headers.get("content-type") ?? "";
  const form = /^application\/x-www-form-urlencoded\b/i.test(type) ? request.body.toString() : "";
  const parameters = parseQueryParameters(request.query, form);
  return parameters.has("Action") ? parameters : undefined;
}

/** Who answers a call of an unknown version: with InvalidAction. */
function fallback([first]: readonly QueryService[]): QueryService {
  if (first === undefined) throw new Error("Expected at least one service");
  return { ...first, actions: {} };
}
