import { freePort, type PickPort } from "./free-port.ts";
import type { WrapCommand } from "./run-command.ts";

/** A network in which the programs of a control plane run, and how this process reaches them there. */
export interface Network {
  /** The addresses at which this many API servers listen. */
  apiServerHosts(count: number): readonly string[];
  readonly pickPort: PickPort;
  /** The command line that runs another one in this network. */
  readonly command: WrapCommand;
  /** The URL at which this process reaches an https server of it. */
  reach(host: string, port: number): Promise<string>;
}

/** The loopback addresses of this machine: 127.0.0.1, 127.0.0.2, … */
export const LOOPBACK: Network = {
  apiServerHosts: (count) => Array.from({ length: count }, (_, i) => `127.0.0.${i + 1}`),
  pickPort: freePort,
  command: (commandLine) => commandLine,
  reach: async (host, port) => `https://${host}:${port}`,
};
