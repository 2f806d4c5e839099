import { connect, type NetConnectOpts, type Server, type Socket } from "node:net";
import { pipeline } from "node:stream";

/** Makes a connection of its own for each that a server accepts, and gives each what the other receives. */
export function forwardConnections(server: Server, target: NetConnectOpts): void {
  // One side may have said all it has to say before the other does: `nc </dev/null`.
  Object.assign(server, { allowHalfOpen: true });
  server.on("connection", (socket: Socket) => {
    const other = connect({ ...target, allowHalfOpen: true });
    // When one breaks off, so does the other; errors are for the programs at both ends to see.
    pipeline(socket, other, () => {});
    pipeline(other, socket, () => {});
  });
}
