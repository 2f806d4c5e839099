import type { Reply } from "../../fakes/ask.ts";
import { ROLE_LIST, type ShimWorld } from "../shim-world.ts";
import { TOKEN_PATH, type CredentialDocument, credentialsIn } from "../replies.ts";
import { A } from "./pods.ts";

export const CREDENTIALS = `${ROLE_LIST}/app-role`;
export const DOCUMENT = "/latest/dynamic/instance-identity/document";

/** Asks for a session token, of pod A unless told. */
export function put(
  world: ShimWorld,
  headers: Readonly<Record<string, string | readonly string[]>>,
  {
    from = A,
    path = TOKEN_PATH,
    body,
  }: { from?: string; path?: string; body?: string | Buffer } = {},
): Promise<Reply> {
  return world.ask({ from, method: "PUT", path, headers, body });
}

/** Reads without a session token, unless it is in the headers. */
export function get(
  world: ShimWorld,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  from = A,
): Promise<Reply> {
  return world.ask({ from, path, headers });
}

/** The credentials of `app-role` as a pod gets them. */
export async function credentialsAt(world: ShimWorld, from: string): Promise<CredentialDocument> {
  return credentialsIn(await world.read(from, CREDENTIALS));
}

/** How often the pods of the node were listed. */
export function listsOf(world: ShimWorld): number {
  return world.api.requests.filter((request) => request === "GET /api/v1/pods").length;
}
