import type { Clock } from "../../lib/clock.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import { startAgentServers, type AgentServers, type AgentServersOptions } from "./agent-servers.ts";
import { AGENT_HOSTS } from "./answers.ts";
import { createContainerCredentialsApp, type ContainerCredentialsDeps } from "./app.ts";
import { ClusterKeys } from "./cluster-keys.ts";
import { createLifeOfPod } from "./life-of-pod.ts";
import { createTokenVerifier } from "./token-verifier.ts";

export interface ContainerCredentialsOptions
  extends
    Pick<ContainerCredentialsDeps, "decideRole" | "obtain" | "onForbidden" | "metrics">,
    Pick<AgentServersOptions, "hosts" | "port" | "drainMs" | "onRefusedConnection"> {
  readonly connection: Pick<Transport, "request">;
  readonly nodeName: string;
  /** Of the tokens that pods show. */
  readonly audience: string;
  /** Longest wait for the API server. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

/** Puts the container-credentials endpoint together, and serves it on all its addresses. */
export function startContainerCredentials(options: ContainerCredentialsOptions): AgentServers {
  const { connection, nodeName, audience, timeoutMs, clock, log, hosts } = options;
  const keys = new ClusterKeys({ connection, timeoutMs, clock, log });
  const app = createContainerCredentialsApp({
    ...options,
    hosts: new Set([...AGENT_HOSTS, ...hosts]),
    verifyToken: createTokenVerifier({ keys, audience, clock }),
    lifeOfPod: createLifeOfPod({ connection, nodeName, timeoutMs, clock }),
  });
  return startAgentServers(app, options);
}
