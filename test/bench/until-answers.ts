import { once } from "node:events";
import { connect } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";

const LIMIT_MS = 60_000;
const PAUSE_MS = 20;

/**
 * Waits until a TLS server can be reached.
 *
 * @throws the error of the connection when it cannot within a minute.
 */
export async function untilAnswers(place: {
  readonly host: string;
  readonly port: number;
  readonly caPem: string;
}): Promise<void> {
  const untilMs = performance.now() + LIMIT_MS;
  for (;;) {
    const socket = connect({ host: place.host, port: place.port, ca: place.caPem });
    try {
      await once(socket, "secureConnect");
      return;
    } catch (err) {
      if (performance.now() > untilMs) throw err;
      await sleep(PAUSE_MS);
    } finally {
      socket.destroy();
    }
  }
}
