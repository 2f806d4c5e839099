import type { RequestListener } from "node:http";
import { backoffMs } from "../../lib/backoff.ts";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import type { RunningServer } from "../../lib/http.ts";
import type { Logger } from "../../lib/log.ts";
import { servePods } from "../server.ts";

export interface AgentServers extends AsyncDisposable {
  /** Those that listen now, by host. */
  readonly ports: ReadonlyMap<string, number>;
}

export interface AgentServersOptions {
  /** Addresses to bind; each has a server of its own. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly drainMs: number;
  readonly onRefusedConnection: () => void;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn">;
}

const BACKOFF = { baseMs: 500, maxMs: 10_000 };

/**
 * Serves on addresses that may not be there yet: the link that has them is made by another container,
 * and a node without IPv6 never gets the second. Each is tried until it listens.
 */
export function startAgentServers(
  app: RequestListener,
  options: AgentServersOptions,
): AgentServers {
  const stop = new AbortController();
  const ports = new Map<string, number>();
  const serving = options.hosts.map((host) => serve(host));
  return {
    ports,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(
        serving.map(async (server) => {
          await (await server)?.[Symbol.asyncDispose]();
        }),
      );
    },
  };

  async function serve(host: string): Promise<RunningServer | undefined> {
    const { port, drainMs, onRefusedConnection, clock, log } = options;
    let told = "";
    for (let attempt = 1; !stop.signal.aborted; attempt += 1) {
      try {
        // oxlint-disable-next-line eslint/no-await-in-loop -- one try after the other
        const server = await servePods(app, { host, port, drainMs, onRefusedConnection });
        ports.set(host, server.port);
        log.info({ host, port: server.port }, "Serving container credentials");
        return server;
      } catch (err) {
        const problem = reasonOf(err);
        if (problem !== told) log.warn({ host, problem }, "Cannot serve container credentials yet");
        told = problem;
        // oxlint-disable-next-line eslint/no-await-in-loop -- one try after the other
        await clock.sleep(backoffMs(attempt, { ...BACKOFF, random: Math.random() }), stop.signal);
      }
    }
    return undefined;
  }
}
