// Runs in the network of a machine, and brings sockets over its border: see socket-agent.ts.
import { createServer, Server } from "node:net";
import { forwardConnections } from "./forward-connections.ts";
import type { AgentRequest } from "./socket-agent.ts";

process.on("message", (request: AgentRequest, handle: unknown) => {
  if (request.kind === "forward") {
    if (!(handle instanceof Server)) throw new Error("Expected a listening socket to forward from");
    forwardConnections(handle, { host: request.host, port: request.port });
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
