import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { startNodeShim, WAIT_MS, type NodeShim } from "../../test/fakes/node-shim.ts";
import {
  createNodeWorld,
  runningPod,
  type NodeWorld,
  type RunningPod,
} from "../../test/fakes/node-world.ts";
import { until } from "../../test/fakes/until.ts";
import type { Attestor } from "./attestor.ts";
import type { CallerDecision } from "./caller.ts";

/** Starts a pod that the API server and its watches know of at once. */
function startKnown(world: NodeWorld, running: RunningPod): void {
  world.start(running);
  world.report(running.uid);
  world.api.deliver();
}

const shown = (decision: CallerDecision): string =>
  decision.status === "known" ? decision.caller.podUid : decision.status;

function ask({ identify, world }: NodeShim, from: RunningPod, address = from.addresses[0] ?? "") {
  return identify(address, world.connect(from, address));
}

function stackOf(t: TestContext): AsyncDisposableStack {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  return stack;
}

async function startListedShim(t: TestContext, attests: boolean): Promise<NodeShim> {
  const shim = startNodeShim(stackOf(t), { attests });
  await shim.pods.whenSynced;
  return shim;
}

describe("identify", () => {
  for (const attests of [true, false]) {
    describe(attests ? "with the kernel's word" : "by live reads", () => {
      it("knows a pod, by either of its addresses in any spelling", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = runningPod("a", "10.1.0.2", "fd00::2");
        startKnown(shim.world, a);
        assert.deepEqual(await ask(shim, a), {
          status: "known",
          caller: {
            podUid: "a",
            podName: "pod-a",
            namespace: "team",
            serviceAccount: "sa-a",
            address: "10.1.0.2",
            podAnnotations: {},
            httpTokens: undefined,
          },
        });
        assert.equal(shown(await ask(shim, a, "fd00::2")), "a");
        const mapped = shim.identify("::ffff:10.1.0.2", shim.world.connect(a, "10.1.0.2"));
        assert.equal(shown(await mapped), "a");
      });

      it("waits for a pod whose event is on its way, without asking again and again", async (t) => {
        const shim = await startListedShim(t, attests);
        const lists = shim.world.api.lists.length;
        const a = runningPod("a", "10.1.0.2");
        shim.world.start(a);
        const asked = ask(shim, a);
        await nextTurn();
        shim.world.report("a");
        await nextTurn();
        shim.clock.advance(300);
        shim.world.api.deliver();
        assert.equal(shown(await asked), "a");
        // One look-up, since nobody had the address; one proof where the kernel is not asked.
        assert.ok(shim.world.api.lists.length - lists <= (attests ? 1 : 2));
        assert.equal(shim.clock.sleepers().includes(100), false);
      });

      it("gives up on an address that nobody has when the time is up, not before", async (t) => {
        const shim = await startListedShim(t, attests);
        let decision: CallerDecision | undefined;
        const connection = { remotePort: 1, localAddress: "10.1.0.1", localPort: 8181 };
        const asked = Promise.resolve(shim.identify("10.1.0.9", connection)).then(
          (got) => (decision = got),
        );
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS - 1);
        await nextTurn();
        assert.equal(decision, undefined);
        shim.clock.advance(1);
        assert.deepEqual(await asked, { status: "unknown" });
      });

      it("lists the pods at most once in 5 seconds for addresses that nobody has", async (t) => {
        const shim = await startListedShim(t, attests);
        const before = shim.world.api.lists.length;
        for (let i = 0; i < 20; i += 1) {
          const connection = { remotePort: i, localAddress: "10.1.0.1", localPort: 8181 };
          const asked = shim.identify(`10.1.0.${i + 20}`, connection);
          await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
          shim.clock.advance(WAIT_MS);
          assert.equal(shown(await asked), "unknown");
        }
        // 20 times 400 ms are 8 seconds.
        assert.equal(shim.world.api.lists.length - before, 2);
      });

      it("knows a pod that only the API server knows of, while the watch is silent", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = runningPod("a", "10.1.0.2");
        shim.world.start(a);
        shim.world.report("a");
        assert.equal(shown(await ask(shim, a)), "a");
        // And for all that is asked next, such as the credentials after the name of the role.
        for (let i = 0; i < 20; i += 1) {
          shim.clock.advance(WAIT_MS);
          assert.equal(shown(await ask(shim, a)), "a");
        }
      });

      it("asks for no proof twice on one connection within a second", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = runningPod("a", "10.1.0.2");
        startKnown(shim.world, a);
        const connection = shim.world.connect(a, "10.1.0.2");
        await shim.identify("10.1.0.2", connection);
        shim.world.api.setReachable(false);
        shim.world.stop("a");
        assert.equal(shown(await shim.identify("10.1.0.2", connection)), "a");
        shim.clock.advance(1001);
        const later = shim.identify("10.1.0.2", connection);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.notEqual(shown(await later), "a");
      });

      it("takes no proof for younger when the clock is set back", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = runningPod("a", "10.1.0.2");
        startKnown(shim.world, a);
        const connection = shim.world.connect(a, "10.1.0.2");
        await shim.identify("10.1.0.2", connection);
        shim.clock.advance(-3_600_000);
        shim.world.stop("a");
        shim.world.report("a");
        const later = shim.identify("10.1.0.2", connection);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.equal(shown(await later), "unknown");
      });

      it("refuses two pods at one address, and knows the one that is left", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = runningPod("a", "10.1.0.2");
        startKnown(shim.world, a);
        shim.world.stop("a");
        const b = runningPod("b", "10.1.0.2");
        startKnown(shim.world, b);
        const refused = ask(shim, b);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.deepEqual(await refused, {
          status: "ambiguous",
          pods: [
            { uid: "a", name: "pod-a", namespace: "team" },
            { uid: "b", name: "pod-b", namespace: "team" },
          ],
        });
        assert.deepEqual(shim.ambiguous, ["10.1.0.2: a b"]);
        const asked = ask(shim, b);
        await nextTurn();
        shim.world.report("a", "finished");
        shim.world.api.deliver();
        assert.equal(shown(await asked), "b");
        assert.equal(shim.ambiguous.length, 1);
      });

      it("gives the address of a pod that is gone to the next one at once", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = runningPod("a", "10.1.0.2");
        const b = runningPod("b", "10.1.0.2");
        startKnown(shim.world, a);
        assert.equal(shown(await ask(shim, a)), "a");
        shim.world.stop("a");
        shim.world.report("a");
        shim.world.start(b);
        shim.world.report("b");
        // The watch has told nothing of all that.
        const asked = ask(shim, b);
        await nextTurn();
        shim.world.api.deliver();
        assert.equal(shown(await asked), "b");
        await until("the end of the first is told", () => shim.gone.includes("a"));
      });

      it("says that nobody can say, as long as no list has come", async (t) => {
        const world = createNodeWorld();
        world.api.setReachable(false);
        const shim = startNodeShim(stackOf(t), { attests, world });
        const a = runningPod("a", "10.1.0.2");
        world.start(a);
        world.report("a");
        const asked = ask(shim, a);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.deepEqual(await asked, {
          status: "unavailable",
          reason: "the pods of this node are not listed yet",
        });
      });

      it("knows no loopback address, and no text that is none", async (t) => {
        const shim = await startListedShim(t, attests);
        const connection = { remotePort: 1, localAddress: "127.0.0.1", localPort: 8181 };
        for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1", "", "localhost"]) {
          assert.equal(shown(await shim.identify(address, connection)), "unknown");
        }
      });
    });
  }

  it("proves a connection anew after ten seconds; until then a look at the pod is enough", async (t) => {
    const stack = stackOf(t);
    const world = createNodeWorld();
    let proven = 0;
    const attestor: Attestor = {
      attest: (podUid, flow) => {
        proven += 1;
        return world.attestor.attest(podUid, flow);
      },
      isThere: (podUid) => world.attestor.isThere(podUid),
    };
    const shim = startNodeShim(stack, { world: { ...world, attestor } });
    await shim.pods.whenSynced;
    const a = runningPod("a", "10.1.0.2");
    startKnown(world, a);
    const connection = world.connect(a, "10.1.0.2");
    const seen: number[] = [];
    for (let second = 0; second <= 12; second += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
      assert.equal(shown(await shim.identify("10.1.0.2", connection)), "a");
      seen.push(proven);
      shim.clock.advance(1001);
    }
    assert.deepEqual(seen, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
  });

  it("knows pods by the kernel's word while the API server is away", async (t) => {
    const shim = startNodeShim(stackOf(t));
    await shim.pods.whenSynced;
    const a = runningPod("a", "10.1.0.2");
    startKnown(shim.world, a);
    await until("it is told", () => shim.pods.size === 1);
    shim.world.api.setReachable(false);
    shim.clock.advance(3_600_000);
    assert.equal(shown(await ask(shim, a)), "a");
  });

  it("says without the kernel's word that nobody can say while the API server is away", async (t) => {
    const shim = startNodeShim(stackOf(t), { attests: false });
    await shim.pods.whenSynced;
    const a = runningPod("a", "10.1.0.2");
    startKnown(shim.world, a);
    await until("it is told", () => shim.pods.size === 1);
    shim.world.api.setReachable(false);
    const asked = ask(shim, a);
    await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
    shim.clock.advance(WAIT_MS);
    assert.equal(shown(await asked), "unavailable");
  });

  it("knows no pod that shows the address of another, and tells of it", async (t) => {
    const shim = startNodeShim(stackOf(t));
    await shim.pods.whenSynced;
    const victim = runningPod("a", "10.1.0.2");
    const thief = runningPod("b", "10.1.0.3");
    startKnown(shim.world, victim);
    startKnown(shim.world, thief);
    await until("both are told", () => shim.pods.size === 2);
    const asked = ask(shim, thief, "10.1.0.2");
    await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
    shim.clock.advance(WAIT_MS);
    assert.equal(shown(await asked), "unknown");
    assert.deepEqual([...new Set(shim.foreign.map(({ uid }) => uid))], ["a"]);
    // Its own address is its own still.
    assert.equal(shown(await ask(shim, thief)), "b");
  });

  it("knows a pod in a virtual machine by a live read", async (t) => {
    const shim = startNodeShim(stackOf(t));
    await shim.pods.whenSynced;
    const a = { ...runningPod("a", "10.1.0.2"), isVirtual: true };
    startKnown(shim.world, a);
    assert.equal(shown(await ask(shim, a)), "a");
  });

  it("reads live by the primary address, and all pods of the node for another", async (t) => {
    const shim = startNodeShim(stackOf(t), { attests: false });
    await shim.pods.whenSynced;
    const a = runningPod("a", "10.1.0.2", "fd00::2");
    startKnown(shim.world, a);
    await until("it is told", () => shim.pods.size === 1);
    const { lists } = shim.world.api;
    await ask(shim, a);
    assert.equal(lists.at(-1), "spec.nodeName=node-a&status.podIP=10.1.0.2");
    await ask(shim, a, "fd00::2");
    assert.equal(lists.at(-1), "spec.nodeName=node-a");
  });
});
