import { outsideAddress } from "./addresses.ts";
import type { ClusterDns } from "./cluster-dns.ts";
import { forwardConnections } from "./forward-connections.ts";
import type { Machine } from "./machine.ts";
import type { SocketAgent } from "./socket-agent.ts";

/**
 * Lets pods and nodes reach a server on this machine's 127.0.0.1 as one of the world outside, under a
 * host name and a port. Each name has an address of its own, in the cloud.
 */
export type Publish = (hostName: string, port: number, localPort: number) => Promise<void>;

export function createPublisher(cloud: Machine, agent: SocketAgent, dns: ClusterDns): Publish {
  const addresses = new Map<string, Promise<string>>();

  async function giveAddress(hostName: string, index: number): Promise<string> {
    const address = outsideAddress(index);
    await cloud.run("ip", "address", "add", `${address}/32`, "dev", "br0");
    await dns.add(hostName, address);
    return address;
  }

  return async (hostName, port, localPort) => {
    const address = addresses.get(hostName) ?? giveAddress(hostName, addresses.size);
    addresses.set(hostName, address);
    const server = await agent.listen(await address, port);
    forwardConnections(server, { host: "127.0.0.1", port: localPort });
  };
}
