import type { IncomingMessage, RequestListener } from "node:http";
import { hostOf, METADATA_HOSTS } from "../imds/allowed-hosts.ts";
import type { Profile } from "../role/profile.ts";

const METADATA: ReadonlySet<string> = new Set(METADATA_HOSTS);

/**
 * Puts in front of the metadata service what probes of kube2iam's and kiam's manifests ask for on the
 * same port: `/healthz` with its JSON, `/ping`, `/health`, and `/metrics` where it is on that port.
 * Not for who asks the metadata service by its own address.
 *
 * @param deps.operations Answers `/metrics`; undefined where that has a port of its own.
 */
export function withLegacyHealth(
  app: RequestListener,
  {
    profile,
    hostIp,
    instanceId,
    operations,
  }: {
    readonly profile: Exclude<Profile, "strict">;
    readonly hostIp: string;
    readonly instanceId: string;
    readonly operations: RequestListener | undefined;
  },
): RequestListener {
  const texts: Readonly<Record<string, readonly [type: string, body: string]>> =
    profile === "kube2iam"
      ? { "/healthz": ["application/json", `${JSON.stringify({ hostIP: hostIp, instanceId })}\n`] }
      : { "/ping": ["text/plain", "pong"], "/health": ["text/plain", instanceId] };
  return (req, res) => {
    const [path = ""] = (req.url ?? "").split("?", 1);
    if (!isProbe(req)) return app(req, res);
    if (path === "/metrics" && operations !== undefined) return operations(req, res);
    const text = Object.hasOwn(texts, path) ? texts[path] : undefined;
    if (text === undefined) return app(req, res);
    const [type, body] = text;
    res.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(body) });
    res.end(body);
  };
}

function isProbe({ method, headers }: IncomingMessage): boolean {
  const isRead = method === "GET" || method === "HEAD";
  return isRead && headers.host !== undefined && !METADATA.has(hostOf(headers.host));
}
