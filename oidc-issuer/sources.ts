import { connect } from "../lib/kube/connection.ts";
import { apiServerSource, discoveredApiServers, type KubeRequester } from "./api-servers.ts";
import { findsApiServers, type IssuerConfig } from "./config.ts";
import { keyFileSource } from "./key-files.ts";
import { fixedSources, type SourceDirectory } from "./key-source.ts";

/** Longest wait for an API server, in milliseconds: well below the time between two polls. */
export const REQUEST_TIMEOUT_MS = 10_000;

/**
 * The way to the cluster; undefined when the config asks nothing of one.
 *
 * @throws AppError CONFIG_INVALID
 */
export function kubeOf(config: IssuerConfig): KubeRequester | undefined {
  const { apiServers, stateConfigMap, kubeconfig, kubeApi } = config;
  if (!findsApiServers(config) && apiServers.length === 0 && stateConfigMap === "")
    return undefined;
  return connect({ kubeconfig, kubeApi });
}

/** All sources that the config names. */
export function directoriesOf(
  config: IssuerConfig,
  kube: KubeRequester | undefined,
): readonly SourceDirectory[] {
  const { apiServers, apiServerName, keyFiles } = config;
  const timeoutMs = REQUEST_TIMEOUT_MS;
  const serverName = apiServerName === "" ? undefined : apiServerName;
  return [
    fixedSources("key files", [...new Set(keyFiles)].map(keyFileSource)),
    ...(kube === undefined
      ? []
      : [
          fixedSources(
            "--api-server",
            [...new Set(apiServers)].map((url) =>
              apiServerSource(kube, { url, serverName }, { timeoutMs }),
            ),
          ),
          ...(findsApiServers(config) ? [discoveredApiServers(kube, { timeoutMs })] : []),
        ]),
  ];
}
