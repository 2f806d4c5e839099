import type { RequestListener } from "node:http";
import type { RunningServer } from "../../lib/http.ts";
import { servePods } from "../../metadata-shim/server.ts";

/** Serves an app of the shim on a port of this machine alone, with the bounds that pods meet. */
export function servePodsHere(app: RequestListener): Promise<RunningServer> {
  return servePods(app, {
    port: 0,
    host: "127.0.0.1",
    drainMs: 100,
    onRefusedConnection: () => {},
  });
}
