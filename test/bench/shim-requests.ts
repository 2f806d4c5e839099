import { z } from "zod";
import { ask } from "../fakes/ask.ts";
import { forEachBounded } from "../fakes/for-each-bounded.ts";
import { untilWithin } from "../fakes/until.ts";
import { METADATA_IPV4 } from "../shim/shim-world.ts";
import { CONNECTIONS } from "./cells.ts";
import type { LoadJob } from "./load.ts";
import { runLoadProcess } from "./load-process.ts";
import { NODE_ADDRESS, POD_NAMESPACE } from "./node-pods.ts";
import { ROLE_NAME, type RunningShim, type ShimGround } from "./shim-ground.ts";
import { byRequest, REQUESTS, type RequestName } from "./shim-result.ts";

/** What asks for something, but for where the server is. */
type ShimRequest = Pick<LoadJob, "method" | "path" | "callers" | "answersDiffer">;
export type ShimRequests = Readonly<Record<RequestName, ShimRequest>>;

/** Pods that ask at the same time: each connection is of another one. */
const CALLERS = Math.max(...CONNECTIONS);
const AUDIENCE = "pods.eks.amazonaws.com";
const ROLE_LIST = "/latest/meta-data/iam/security-credentials/";
const TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds";

const until = untilWithin({ limitMs: 60_000, pauseMs: 200 });

const Credentials = z.looseObject({ AccessKeyId: z.string().startsWith("ASIA") });

/** Has each pod get its credentials, and makes what some of them ask for. */
export async function requestsOf(
  { plane, pods }: ShimGround,
  { port }: RunningShim,
): Promise<ShimRequests> {
  const sessions = new Map<string, Readonly<Record<string, string>>>();
  await forEachBounded(pods.length, 8, async (number) => {
    const from = pods[number]?.address ?? "";
    const ttl = { Host: METADATA_IPV4, [TTL_HEADER]: "21600" };
    const place = { host: NODE_ADDRESS, port, from };
    const path = "/latest/api/token";
    const { body } = await ask({ ...place, method: "PUT", path, headers: ttl });
    const headers = { Host: METADATA_IPV4, "X-aws-ec2-metadata-token": body };
    await until("a pod has credentials", async () => {
      const reply = await ask({ ...place, path: ROLE_LIST + ROLE_NAME, headers });
      return reply.status === 200;
    });
    sessions.set(from, headers);
  });
  const callers = pods.slice(0, CALLERS);
  const bySession = callers.map(({ address: localAddress }) => ({
    localAddress,
    headers: sessions.get(localAddress) ?? {},
  }));
  const byToken = callers.map(async ({ address: localAddress, name, uid, serviceAccount }) => {
    const spec = { namespace: POD_NAMESPACE, serviceAccount, audiences: [AUDIENCE] };
    const { token } = await plane.requestToken({ ...spec, boundPod: { name, uid } });
    // As clients write it, whose port is 80.
    return { localAddress, headers: { Host: NODE_ADDRESS, Authorization: token } };
  });
  const unknown = callers.map(({ address: localAddress }) => ({
    localAddress,
    headers: { Host: METADATA_IPV4, [TTL_HEADER]: "21600" },
  }));
  return {
    list: { method: "GET", path: ROLE_LIST, callers: bySession },
    credentials: { method: "GET", path: ROLE_LIST + ROLE_NAME, callers: bySession },
    container: { method: "GET", path: "/v1/credentials", callers: await Promise.all(byToken) },
    token: { method: "PUT", path: "/latest/api/token", callers: unknown, answersDiffer: true },
  };
}

/** What the shim answers, checked; the bare server answers the same. */
export async function bodiesOf(
  requests: ShimRequests,
  ports: Readonly<Record<RequestName, number>>,
  options: Parameters<typeof runLoadProcess>[1],
): Promise<Readonly<Record<RequestName, string>>> {
  const bodies = new Map<RequestName, string>();
  for (const name of REQUESTS) {
    const place = { host: NODE_ADDRESS, port: ports[name] };
    const bounds = { connections: 1, seconds: 1, maxRequests: 1 };
    const { answers } = await runLoadProcess({ ...requests[name], ...place, ...bounds }, options);
    const [body = ""] = answers;
    if (name === "list" && body !== ROLE_NAME) throw new Error(`A wrong list: ${body}`);
    if (name === "credentials" || name === "container") Credentials.parse(JSON.parse(body));
    bodies.set(name, body);
  }
  return byRequest((name) => bodies.get(name) ?? "");
}
