import { after, before, describe, it } from "node:test";
import { z } from "zod";
import { missingComponents } from "../kubernetes/components.ts";
import { TIMEOUT_MS } from "./faults/cluster-changes.ts";
import { FLAGS, FollowingWebhook, FRESH_SECONDS, until } from "./faults/following-webhook.ts";
import { FAULT_SECONDS, survive } from "./faults/survive.ts";

// The webhook loses its API server, in each of the ways in which that happens, while the cluster goes
// on: two API servers share their data, and the webhook follows the first through a proxy that can be
// told to fail, while pods are created and ServiceAccounts changed at the second. Meanwhile no pod
// whose ServiceAccount has a role comes without it unless that is said; afterwards all that was
// changed is seen.

/** How long the API server answers 500. */
const OUTAGE_MS = 30_000;
const List = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) });

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let webhook: FollowingWebhook;
before(async () => {
  if (skip === false) webhook = await FollowingWebhook.start(cleanUp);
});
after(() => cleanUp.disposeAsync());

describe("the webhook, when its API server fails", { skip, timeout: 600_000 }, () => {
  it("goes on after its watches were cut, from where they broke off", async (t) => {
    await survive(t, webhook, {
      slug: "cut",
      begin: async () => webhook.failWith({ kind: "cut" }, ({ isWatch }) => isWatch),
      end: async () => webhook.stopFailing(),
      seconds: FAULT_SECONDS,
      readsLive: true,
      reason: /socket hang up|aborted|ECONNRESET/,
      relists: false,
    });
  });

  it("goes on after 30 s of 500s", async (t) => {
    const outage = Promise.withResolvers<void>();
    await survive(t, webhook, {
      slug: "answers-500",
      begin: async () => {
        webhook.failWith({ kind: "status", status: 500 });
        setTimeout(outage.resolve, OUTAGE_MS);
      },
      hold: () => outage.promise,
      end: async () => webhook.stopFailing(),
      seconds: OUTAGE_MS / 1000 - FRESH_SECONDS,
      readsLive: false,
      reason: /500/,
      relists: true,
    });
  });

  it("goes on after a restart of the API server, which remembers no changes from before", async (t) => {
    const [first] = webhook.plane.apiServers;
    await survive(t, webhook, {
      slug: "restart",
      begin: () => first.stop(),
      end: () => first.start(),
      seconds: FAULT_SECONDS,
      readsLive: false,
      reason: /410: too old resource version/,
      relists: true,
    });
  });

  it("goes on when what it would watch from was compacted away", async (t) => {
    const [first] = webhook.plane.apiServers;
    let resourceVersion = "";
    await survive(t, webhook, {
      slug: "compacted",
      async begin() {
        webhook.failWith({ kind: "cut" });
        // Then a watch is served from etcd itself, and knows what etcd knows.
        await first.stop();
        await first.start({ flags: [...FLAGS, "--watch-cache=false"] });
        resourceVersion = await currentVersion();
      },
      hold: () => untilGone(resourceVersion),
      end: async () => webhook.stopFailing(),
      seconds: FAULT_SECONDS,
      readsLive: false,
      reason: /410/,
      relists: true,
    });
  });
});

async function currentVersion(): Promise<string> {
  const path = "/api/v1/serviceaccounts?limit=1";
  const { body } = await webhook.kube.request({ path, timeoutMs: TIMEOUT_MS });
  return List.parse(body).metadata.resourceVersion;
}

/** Changes something else again and again until nobody can watch from that version any more. */
async function untilGone(resourceVersion: string): Promise<void> {
  const [first] = webhook.plane.apiServers;
  const query = `watch=true&timeoutSeconds=1&resourceVersion=${resourceVersion}`;
  await until("the version is compacted away", async () => {
    await webhook.changes.post("/api/v1/namespaces/probe/configmaps", {
      metadata: { generateName: "passing-" },
    });
    const { status, body } = await first.getRaw(`/api/v1/serviceaccounts?${query}`);
    return status === 410 || body.includes('"code":410');
  });
}
