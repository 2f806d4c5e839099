import { randomUUID } from "node:crypto";
import { createApiServer, type ApiServer, type ApiServerOptions } from "./api-server.ts";
import type { ApiServerSettings } from "./api-server-flags.ts";
import type { Etcd } from "./etcd.ts";
import { onFreePort } from "./free-port.ts";
import { writeKubernetesEndpoints } from "./kubernetes-endpoints.ts";
import type { Network } from "./network.ts";

export type ApiServers = readonly [ApiServer, ...ApiServer[]];

export interface ApiServersOptions extends Omit<
  ApiServerOptions,
  "host" | "port" | "url" | "settings" | "etcdUrl" | "onChange"
> {
  readonly etcd: Etcd;
  /** One for each address. */
  readonly settings: readonly ApiServerSettings[];
  readonly hosts: readonly string[];
  readonly network: Network;
}

/**
 * Starts API servers at these addresses on one common free port, and names in the EndpointSlice
 * `default/kubernetes` those that run, from now on.
 *
 * @throws AppError KUBERNETES_UNAVAILABLE
 */
export async function startApiServers(options: ApiServersOptions): Promise<ApiServers> {
  return onFreePort(options.hosts, options.network.pickPort, (port) => startAtPort(options, port));
}

async function startAtPort(options: ApiServersOptions, port: number): Promise<ApiServers> {
  const { etcd, settings, hosts, network } = options;
  const uid = randomUUID();
  const createdAtMs = Date.now();
  let generation = 0;
  let complete = false;
  const urls = await Promise.all(hosts.map((host) => network.reach(host, port)));
  const servers = hosts.map((host, i) =>
    createApiServer({
      ...options,
      host,
      port,
      url: urls[i] ?? "",
      settings: settings[i] ?? {},
      etcdUrl: etcd.url,
      onChange: announce,
    }),
  );
  const [first, ...others] = servers;
  if (first === undefined) throw new Error("Expected at least one API server");
  const results = await Promise.allSettled(servers.map((server) => server.start()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await Promise.all(servers.map((server) => server.stop()));
    throw failed.reason;
  }
  complete = true;
  await announce();
  return [first, ...others];

  async function announce(): Promise<void> {
    if (!complete) return;
    generation += 1;
    const addresses = servers.filter(({ isRunning }) => isRunning).map(({ host }) => host);
    await writeKubernetesEndpoints(etcd, { uid, generation, createdAtMs, addresses, port });
  }
}
