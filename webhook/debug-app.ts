import express, { type Express } from "express";
import { isLoopback } from "../lib/loopback.ts";
import type { ListWatch } from "../lib/kube/list-watch.ts";
import type { NamespacePolicy } from "../lib/namespace-policy.ts";
import type { Annotations } from "./pod/pod.ts";

type Shown<T> = Pick<ListWatch<T>, "entries" | "size" | "synced" | "staleSeconds">;

export interface DebugAppDeps {
  readonly serviceAccounts: Shown<{ readonly annotations: Annotations }>;
  readonly namespaces: Shown<NamespacePolicy>;
}

/**
 * Shows the webhook's own copy of the cluster (`/debug/alpha/cache`, as AWS's webhook has it), and
 * changes nothing. For a port of the loopback interface only: it tells the roles of all teams, and
 * asks nobody who they are.
 *
 * A page in a browser on this machine, or on one that forwards the port, may have a name of its own
 * point to loopback; it is told by that name and refused.
 */
export function createDebugApp({ serviceAccounts, namespaces }: DebugAppDeps): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.set("query parser", false);
  app.use((req, res, next) => {
    res.set({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
    if (isLoopback(`http://${req.headers.host ?? ""}`)) next();
    else res.status(403).type("text").send("Cannot debug by this name: expected Host localhost\n");
  });
  app.get("/debug/alpha/cache", (_req, res) => {
    res.json({
      serviceAccounts: contentOf(serviceAccounts, ({ annotations }) => annotations),
      namespaces: contentOf(namespaces, (policy) => policy),
    });
  });
  app.use((_req, res) => res.status(404).type("text").send("not found\n"));
  return app;
}

/** What there is to tell of each object; most have nothing, so these are only counted. */
function contentOf<T>(copy: Shown<T>, factsOf: (value: T) => object): object {
  const objects: Record<string, object> = {};
  for (const { namespace, name, value } of copy.entries()) {
    const facts = factsOf(value);
    const key = namespace === "" ? name : `${namespace}/${name}`;
    if (Object.keys(facts).length > 0) objects[key] = facts;
  }
  const { size: known, synced } = copy;
  return { synced, staleSeconds: copy.staleSeconds(), known, objects };
}
