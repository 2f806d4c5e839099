import type { Socket } from "node:net";
import { remoteAddressOf } from "./remote-address.ts";

/** Connections that one address may have open at a time: more than any SDK, less than a flood. */
export const CONNECTIONS_PER_ADDRESS = 128;
/** Connections of all together; a node has 250 pods, which seldom ask at the same time. */
export const CONNECTIONS_IN_ALL = 8192;

/**
 * Makes the function that decides whether a new connection is served: not while its address has as
 * many as it may have, so that one pod cannot keep the others out.
 */
export function createConnectionLimit({
  perAddress = CONNECTIONS_PER_ADDRESS,
  inAll = CONNECTIONS_IN_ALL,
  onRefused,
}: {
  readonly perAddress?: number | undefined;
  readonly inAll?: number | undefined;
  readonly onRefused: () => void;
}): (socket: Socket) => boolean {
  const open = new Map<string, number>();
  let all = 0;
  return (socket) => {
    const address = remoteAddressOf(socket.remoteAddress);
    const own = open.get(address) ?? 0;
    if (own >= perAddress || all >= inAll) {
      onRefused();
      return false;
    }
    open.set(address, own + 1);
    all += 1;
    socket.once("close", () => {
      all -= 1;
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
    return true;
  };
}
