import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock, type Clock } from "../../lib/clock.ts";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { startListWatch, type ListWatch, type ListWatchEvent } from "../../lib/kube/list-watch.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { missingComponents } from "./components.ts";
import type { KubeClients } from "./kube-clients.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";

const skip = (await missingComponents(process.env)) ?? false;
const PATH = "/api/v1/serviceaccounts";
const COUNT = 2000;
const ROLE = "eks.amazonaws.com/role-arn";

/** Sleeps a twentieth of what it is asked for, so that nobody waits for a back-off. */
const hurriedClock: Clock = {
  now: () => systemClock.now(),
  sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
};

describe("A list-watch of ServiceAccounts on a real API server", { skip }, () => {
  let plane: ControlPlane;
  /** Which the list-watch knows nothing of; it shares the data. */
  let other: KubeClients;
  before(async () => {
    const flags = ["--etcd-compaction-interval=1s"];
    plane = await startControlPlane({ apiServers: [{ flags }, { flags }] });
    other = plane.apiServers[1]?.admin ?? assert.fail();
    const namespaces = ["team-a", "team-b"];
    for (const name of namespaces) {
      await plane.admin.core.createNamespace({ body: { metadata: { name } } });
    }
    await inParallel(COUNT, (i) => create(namespaces[i % 2] ?? "", `app-${i}`, `role-${i}`));
  });
  after(() => plane[Symbol.asyncDispose]());

  async function create(namespace: string, name: string, role: string): Promise<void> {
    await plane.admin.core.createNamespacedServiceAccount({
      namespace,
      body: {
        metadata: { name, annotations: { [ROLE]: role } },
        imagePullSecrets: [{ name: "registry" }],
      },
    });
  }

  interface Following extends AsyncDisposable {
    readonly watch: ListWatch<string>;
    readonly events: readonly ListWatchEvent[];
    /** The path of each request, with its query. */
    readonly paths: readonly string[];
    /** The fields that objects were seen with, beside their metadata. */
    readonly fields: ReadonlySet<string>;
  }

  function follow(
    settings: {
      readonly connection?: Pick<KubeConnection, "request" | "stream">;
      readonly pageSize?: number;
    } = {},
  ): Following {
    const connection = settings.connection ?? connect({ kubeconfig: plane.kubeconfig });
    const events: ListWatchEvent[] = [];
    const paths: string[] = [];
    const fields = new Set<string>();
    const watch = startListWatch({
      connection: {
        request(request) {
          paths.push(request.path);
          return connection.request(request);
        },
        stream(request) {
          paths.push(request.path);
          return connection.stream(request);
        },
      },
      path: PATH,
      metadataOnly: true,
      keep(object) {
        for (const field of Object.keys(object)) fields.add(field);
        return object.metadata.annotations?.[ROLE];
      },
      clock: hurriedClock,
      log: createCollectedLog().log,
      pageSize: settings.pageSize ?? 500,
      onEvent: (event) => events.push(event),
    });
    return {
      watch,
      events,
      paths,
      fields,
      [Symbol.asyncDispose]: async () => watch[Symbol.asyncDispose](),
    };
  }

  /** Waits until it shows exactly what a list by client-node shows. */
  async function agreement({ watch }: Following): Promise<void> {
    const { items } = await other.core.listServiceAccountForAllNamespaces();
    const expected = new Map(
      items.flatMap(({ metadata }) => {
        const role = metadata?.annotations?.[ROLE];
        return role === undefined ? [] : [[`${metadata?.namespace}/${metadata?.name}`, role]];
      }),
    );
    const shown = () =>
      new Map([...watch.entries()].map((e) => [`${e.namespace}/${e.name}`, e.value]));
    await eventually("it agrees with the API server", () => {
      const now = shown();
      return now.size === expected.size && [...expected].every(([key, r]) => now.get(key) === r);
    });
  }

  it("lists 2,000 in pages of 500 and follows additions, changes and deletions, metadata only", async () => {
    await using following = follow();
    await following.watch.whenSynced;
    assert.equal(following.watch.size, COUNT);
    assert.equal(following.watch.get("team-b", "app-1999"), "role-1999");
    assert.equal(following.paths.filter((path) => !path.includes("watch=")).length, 4);

    await inParallel(20, (i) => create("team-a", `new-${i}`, "new"));
    await inParallel(20, (i) =>
      plane.admin.core.deleteNamespacedServiceAccount({
        namespace: i % 2 === 0 ? "team-a" : "team-b",
        name: `app-${i}`,
      }),
    );
    const patched = await connect({ kubeconfig: plane.kubeconfig }).request({
      method: "PATCH",
      path: "/api/v1/namespaces/team-a/serviceaccounts/app-100",
      contentType: "application/merge-patch+json",
      body: { metadata: { annotations: { [ROLE]: "changed" } } },
      timeoutMs: 30_000,
    });
    assert.equal(patched.status, 200);
    await agreement(following);
    assert.equal(following.watch.get("team-a", "app-100"), "changed");
    assert.equal(following.events.filter(({ type }) => type === "listed").length, 1);
    // Both lists and events: the image pull secrets never came over the wire.
    assert.deepEqual([...following.fields].toSorted(), ["apiVersion", "kind", "metadata"]);
  });

  it("survives the end of its API server, and catches up once it is back", async () => {
    await using following = follow();
    await following.watch.whenSynced;
    const [first] = plane.apiServers;
    await first.stop();
    await eventually("it noticed", () => following.events.some(({ type }) => type === "failed"));
    const names = { namespace: "team-b", name: "app-101" };
    await other.core.deleteNamespacedServiceAccount(names);
    await other.core.createNamespacedServiceAccount({
      namespace: "team-b",
      body: { metadata: { name: "meanwhile", annotations: { [ROLE]: "meanwhile" } } },
    });
    assert.equal(following.watch.has("team-b", "app-101"), true);
    assert.equal(following.watch.synced, true);
    await first.start();
    await agreement(following);
    assert.equal(following.watch.has("team-b", "app-101"), false);
    // An API server remembers no changes from before its start.
    const reasons = following.events.flatMap((e) => (e.type === "failed" ? [e.reason] : []));
    assert.ok(reasons.some((reason) => /410: too old resource version/.test(reason)));
    assert.equal(following.events.filter(({ type }) => type === "listed").length, 2);
  });

  it("starts a list anew whose continue token was compacted away", async () => {
    const connection = connect({ kubeconfig: plane.kubeconfig });
    const statuses: number[] = [];
    await using following = follow({
      pageSize: 700,
      connection: {
        stream: (request) => connection.stream(request),
        async request(request) {
          // As long as it takes to read one page when etcd is compacted every second.
          if (request.path.includes("continue=") && !statuses.includes(410)) {
            await untilGone(connection, request.path);
          }
          const answer = await connection.request(request);
          statuses.push(answer.status);
          return answer;
        },
      },
    });
    await agreement(following);
    // Fewer pages the second time, since they are larger.
    assert.deepEqual(statuses, [200, 410, 200, 200]);
  });
});

async function inParallel(count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i);
  };
  await Promise.all(Array.from({ length: 20 }, worker));
}

const LIMIT_MS = 60_000;

/** Changes something else again and again until a page can no longer be read. */
async function untilGone(connection: KubeConnection, path: string): Promise<void> {
  const limit = performance.now() + LIMIT_MS;
  while (performance.now() < limit) {
    const { status } = await connection.request({ path, timeoutMs: 30_000 });
    if (status === 410) return;
    assert.equal(status, 200);
    const body = { metadata: { generateName: "passing-" } };
    await connection.request({
      method: "POST",
      path: "/api/v1/namespaces/default/configmaps",
      body,
      timeoutMs: 30_000,
    });
    await sleep(200);
  }
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const limit = performance.now() + LIMIT_MS;
  while (!holds()) {
    assert.ok(performance.now() < limit, `waited in vain until ${what}`);
    await sleep(20);
  }
}
