import { once } from "node:events";
import { get, type RequestListener } from "node:http";
import { listen } from "./http.ts";

/** V8 settles with the seventh object of a class. */
const REQUESTS = 8;

/**
 * Makes the first objects of Node's classes for HTTP, by requests to a server of its own on loopback,
 * and keeps them until V8 has settled how much room such objects have. It does so with the seventh of
 * a class (its "slack tracking"), by the fields that it then knows of; when the memory of the first six
 * has just been collected it knows of none. The fields of all later ones would then be in hash tables,
 * and each answer take a third longer, for as long as the program runs.
 *
 * To be called before the first request, by a program whose answers are to be quick.
 */
export async function settleHttpClasses(): Promise<void> {
  const kept: object[] = [];
  const answer: RequestListener = (req, res) => {
    kept.push(req, res, req.socket);
    res.writeHead(200, { "content-type": "text/plain", "content-length": 2 });
    res.end("ok");
  };
  await using server = await listen(answer, { port: 0, host: "127.0.0.1", drainMs: 0 });
  const ask = async (): Promise<void> => {
    const place = { host: "127.0.0.1", port: server.port, agent: false };
    const request = get(place, (response) => kept.push(request, response.resume()));
    await once(request, "close");
  };
  await Promise.all(Array.from({ length: REQUESTS }, ask));
}
