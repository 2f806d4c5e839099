import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, Server, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { Machine } from "./machine.ts";

/** Brings sockets over the border of a machine's network, which has no route to this one. */
export interface SocketAgent extends AsyncDisposable {
  /** Lets this process reach a TCP server of the machine: resolves with a port on 127.0.0.1. */
  forward(host: string, port: number): Promise<number>;
  /** Listens in the machine; the connections come to this process, as those of any server. */
  listen(host: string, port: number): Promise<Server>;
}

/** What the program in the machine is asked. */
export type AgentRequest = {
  readonly kind: "forward" | "listen";
  readonly id: number;
  readonly host: string;
  readonly port: number;
};

const MAIN = fileURLToPath(new URL("socket-agent-main.ts", import.meta.url));

/**
 * Starts a program in the machine's network. A socket belongs to the network in which it was made,
 * whoever holds it: so listening sockets are made on one side, and handed to the other.
 */
export async function startSocketAgent(machine: Machine): Promise<SocketAgent> {
  const [program = "", ...args] = machine.inNetwork([process.execPath, MAIN]);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit", "ipc"], env: {} });
  await once(child, "spawn");
  const exited = once(child, "exit");
  child.unref();
  child.channel?.unref();
  const servers: Server[] = [];
  const connections = new Set<Socket>();
  const waiting = new Map<number, PromiseWithResolvers<Server>>();
  let lastId = 0;
  child.on("message", (answer: { id: number; error?: string }, handle: unknown) => {
    const { resolve, reject } = waiting.get(answer.id) ?? {};
    waiting.delete(answer.id);
    if (waiting.size === 0) child.channel?.unref();
    if (handle instanceof Server) resolve?.(handle);
    else reject?.(new Error(`Cannot listen in ${machine.name}: ${answer.error}`));
  });
  child.once("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error(`${machine.name} is gone`));
  });

  return {
    async forward(host, port) {
      const server = createServer();
      server.listen({ port: 0, host: "127.0.0.1" });
      await once(server, "listening");
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("Expected a port");
      const request: AgentRequest = { kind: "forward", id: 0, host, port };
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      child.send(request, server, (err) => (err === null ? resolve() : reject(err)));
      await promise;
      server.close();
      return address.port;
    },
    async listen(host, port) {
      lastId += 1;
      const answer = Promise.withResolvers<Server>();
      waiting.set(lastId, answer);
      child.channel?.ref();
      const request: AgentRequest = { kind: "listen", id: lastId, host, port };
      child.send(request);
      const server = await answer.promise;
      servers.push(server.unref());
      server.on("connection", (socket: Socket) => {
        connections.add(socket);
        socket.once("close", () => connections.delete(socket));
      });
      return server;
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) server.close();
      // The other ends may be gone with their networks, and would never say so.
      for (const socket of connections) socket.destroy();
      child.ref();
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
