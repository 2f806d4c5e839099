import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** Passes TCP connections on to one of several ports of the loopback interface, as a Service does. */
export interface TcpBalancer extends AsyncDisposable {
  readonly port: number;
  /** New connections may go to this port from now on. */
  add(target: number): void;
  /**
   * No connection goes to this port any more. Open ones are ended towards the client; resolves when
   * the client has noticed that.
   */
  remove(target: number): Promise<void>;
  /** Ends all connections towards the client, which will open new ones; resolves as `remove` does. */
  refresh(): Promise<void>;
}

/** Starts it on a free port of the loopback interface. */
export async function startTcpBalancer(): Promise<TcpBalancer> {
  const targets: number[] = [];
  const open = new Map<Socket, number>();
  let turn = 0;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    turn += 1;
    const target = targets[turn % targets.length];
    if (target === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect({ host: "127.0.0.1", port: target });
    open.set(client, target);
    client.pipe(upstream);
    upstream.pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.end());
    client.on("close", () => {
      open.delete(client);
      upstream.destroy();
    });
  });
  server.listen({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");

  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Expected a TCP address");
  return {
    port: address.port,
    add: (target) => void targets.push(target),
    async remove(target) {
      targets.splice(targets.indexOf(target), 1);
      await end([...open].flatMap(([client, other]) => (other === target ? [client] : [])));
    },
    refresh: () => end([...open.keys()]),
    async [Symbol.asyncDispose]() {
      for (const client of open.keys()) client.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function end(clients: readonly Socket[]): Promise<void> {
  await Promise.all(
    clients.map(async (client) => {
      const closed = once(client, "close");
      client.end();
      await closed;
    }),
  );
}
