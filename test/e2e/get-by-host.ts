import { request, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";

/** GETs a loopback URL under another host name, which fetch() cannot: it sets Host by the URL. */
export async function getByHost(
  url: string,
  host: string,
): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, { headers: { host }, agent: false }, resolve).on("error", reject).end();
  const response = await promise;
  return { status: response.statusCode ?? 0, body: await text(response) };
}
