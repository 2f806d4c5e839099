import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import { connect } from "../../lib/kube/connection.ts";
import { startLease, type Lease } from "../../lib/kube/lease.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { until } from "../fakes/until.ts";
import { missingComponents } from "./components.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";

// What only a real API server shows: its validation of the object and its times, its rules about
// resourceVersion, and RBAC.

const skip = (await missingComponents(process.env)) ?? false;
const RULES = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
];

describe("a Lease in a real API server", { skip }, () => {
  const cleanUp = new AsyncDisposableStack();
  let plane: ControlPlane;
  let connection: Transport;
  before(async () => {
    plane = cleanUp.use(await startControlPlane());
    await plane.createServiceAccount("eks", "replica");
    const { kubeconfig } = await plane.asServiceAccount("eks", "replica");
    connection = connect({ kubeconfig });
  });
  after(() => cleanUp.disposeAsync());

  it("is refused without rights, told, and won as soon as they are there", async () => {
    const { log, lines } = createCollectedLog();
    await using lease = start("rights", "a", { log });
    await until("the refusal is told", () => lines.length > 0);
    assert.match(String(lines[0]?.["problem"]), /403.*leases.*forbidden.*eks:replica.*cannot get/);
    const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/eks";
    await post(`${rbac}/roles`, { metadata: { name: "lease" }, rules: RULES });
    await post(`${rbac}/rolebindings`, {
      metadata: { name: "lease" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "lease" },
      subjects: [{ kind: "ServiceAccount", namespace: "eks", name: "replica" }],
    });
    await until("it is held", () => lease.held);
  });

  it("has one holder, goes over when that stops, and when it falls silent", async () => {
    let isSilent = false;
    const cut: Pick<Transport, "request"> = {
      request: async (request) => {
        if (isSilent) throw new AppError("KUBERNETES_UNAVAILABLE", 503, "Cut off");
        return connection.request(request);
      },
    };
    await using a = start("one", "a");
    await until("a holds it", () => a.held);
    await using b = start("one", "b", { through: cut });
    await using c = start("other", "c");
    await until("another Lease is independent", () => c.held);
    assert.equal(b.held, false);
    await a[Symbol.asyncDispose]();
    await until("b holds it", () => b.held);
    assert.equal(a.held, false);

    await using d = start("one", "d");
    isSilent = true;
    await until("d holds it", () => {
      assert.ok(!(b.held && d.held), "two holders");
      return d.held;
    });
    const { body } = await connection.request({
      path: "/apis/coordination.k8s.io/v1/namespaces/eks/leases/one",
      timeoutMs: 10_000,
    });
    const { spec } = body as { spec: { holderIdentity: string; leaseTransitions: number } };
    assert.equal(spec.holderIdentity, d.identity);
    assert.equal(spec.leaseTransitions, 2);
  });

  function start(
    name: string,
    identity: string,
    { log = createCollectedLog().log, through = connection }: Partial<StartOptions> = {},
  ): Lease {
    const options = { namespace: "eks", name, identity, log, durationSeconds: 3 };
    return startLease({ ...options, connection: through, clock: systemClock });
  }

  interface StartOptions {
    readonly log: ReturnType<typeof createCollectedLog>["log"];
    readonly through: Pick<Transport, "request">;
  }

  async function post(path: string, body: object): Promise<void> {
    const admin = connect({ kubeconfig: plane.kubeconfig });
    const answer = await admin.request({ method: "POST", path, body, timeoutMs: 10_000 });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
  }
});
