// Runs in the network of a machine, and brings sockets over its border: see socket-agent.ts.
import { connect, createServer, Server, type Socket } from "node:net";
import { pipeline } from "node:stream";
import type { AgentRequest } from "./socket-agent.ts";

process.on("message", (request: AgentRequest, handle: unknown) => {
  if (request.kind === "forward") {
    if (!(handle instanceof Server)) throw new Error("Expected a listening socket to forward from");
    handle.on("connection", (socket: Socket) => join(socket, connect(request)));
  } else {
    const server = createServer();
    server.once("error", (err) => process.send?.({ id: request.id, error: err.message }));
    server.listen({ host: request.host, port: request.port }, () => {
      // The other side accepts the connections, so this one gives its own end away.
      process.send?.({ id: request.id }, server, {}, () => server.close());
    });
  }
});
process.on("disconnect", () => process.exit());

function join(one: Socket, other: Socket): void {
  // That one side breaks off is for the other side to see, which pipeline does.
  pipeline(one, other, () => {});
  pipeline(other, one, () => {});
}
