import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KubeAnswer, KubeRequest } from "../../lib/kube/transport.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import type { Controller } from "./audited-pod.ts";
import { Controllers } from "./controllers.ts";

const REPLICA_SET: Controller = {
  apiVersion: "apps/v1",
  kind: "ReplicaSet",
  name: "web-5d",
  uid: "rs",
};
const DEPLOYMENT: Controller = { apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "d" };

function answering(status: number, owners: readonly object[] = []) {
  const paths: string[] = [];
  const { log, lines } = createCollectedLog();
  const request = ({ path }: KubeRequest): Promise<KubeAnswer> => {
    paths.push(path);
    return Promise.resolve({
      status,
      headers: {},
      body: { metadata: { ownerReferences: owners } },
    });
  };
  return { controllers: new Controllers({ connection: { request }, log }), paths, lines };
}

describe("Controllers", () => {
  it("names the Deployment above a ReplicaSet, and reads it once", async () => {
    const { controllers, paths } = answering(200, [{ ...DEPLOYMENT, controller: true }]);
    for (let i = 0; i < 2; i += 1) {
      assert.deepEqual(await controllers.chainOf("team", REPLICA_SET), [REPLICA_SET, DEPLOYMENT]);
    }
    assert.deepEqual(paths, ["/apis/apps/v1/namespaces/team/replicasets/web-5d"]);
  });

  it("names the CronJob above a Job", async () => {
    const job = { apiVersion: "batch/v1", kind: "Job", name: "nightly-1", uid: "j" };
    const cronJob = { apiVersion: "batch/v1", kind: "CronJob", name: "nightly", uid: "c" };
    const { controllers, paths } = answering(200, [{ ...cronJob, controller: true }]);
    assert.deepEqual(await controllers.chainOf("team", job), [job, cronJob]);
    assert.deepEqual(paths, ["/apis/batch/v1/namespaces/team/jobs/nightly-1"]);
  });

  it("reads nothing of controllers that stand alone", async () => {
    const { controllers, paths } = answering(200);
    const set = { apiVersion: "apps/v1", kind: "StatefulSet", name: "db", uid: "s" };
    assert.deepEqual(await controllers.chainOf("team", set), [set]);
    assert.deepEqual(paths, []);
  });

  for (const [name, status, owners, warnings] of [
    ["has no controller", 200, [], 0],
    ["has an owner that does not control it", 200, [DEPLOYMENT], 0],
    ["is gone", 404, [], 0],
    ["may not be read", 403, [], 1],
  ] as const) {
    it(`ends at a ReplicaSet that ${name}, and asks once`, async () => {
      const { controllers, paths, lines } = answering(status, owners);
      for (let i = 0; i < 2; i += 1) {
        assert.deepEqual(await controllers.chainOf("team", REPLICA_SET), [REPLICA_SET]);
      }
      assert.equal(paths.length, 1);
      assert.equal(lines.length, warnings);
    });
  }
});
