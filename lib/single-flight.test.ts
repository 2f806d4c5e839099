import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SingleFlight } from "./single-flight.ts";

describe("SingleFlight", () => {
  it("shares one call among those who ask while it runs", async () => {
    const { flights, calls } = counting();
    const asked = [flights.run("a", calls.start), flights.run("a", calls.start)];
    assert.equal(calls.open.length, 1);
    calls.open[0]?.resolve("one");
    assert.deepEqual(await Promise.all(asked), ["one", "one"]);
  });

  it("calls again once that call has ended, also when it failed", async () => {
    const { flights, calls } = counting();
    const failed = flights.run("a", calls.start);
    const also = flights.run("a", calls.start);
    calls.open[0]?.reject(new Error("refused"));
    await assert.rejects(failed, /refused/);
    await assert.rejects(also, /refused/);
    const next = flights.run("a", calls.start);
    calls.open[1]?.resolve("two");
    assert.equal(await next, "two");
    assert.equal(calls.open.length, 2);
  });

  it("keeps keys apart", async () => {
    const { flights, calls } = counting();
    const asked = [flights.run("a", calls.start), flights.run("b", calls.start)];
    calls.open[1]?.resolve("of b");
    calls.open[0]?.resolve("of a");
    assert.deepEqual(await Promise.all(asked), ["of a", "of b"]);
  });

  it("goes on for the others when one stops waiting", async () => {
    const { flights, calls } = counting();
    const first = flights.run("a", calls.start);
    const second = flights.run("a", calls.start);
    await Promise.race([first, Promise.resolve()]);
    calls.open[0]?.resolve("still there");
    assert.equal(await second, "still there");
  });

  it("remembers nothing of a call that throws before it runs", async () => {
    const flights = new SingleFlight<string>();
    await assert.rejects(
      async () =>
        flights.run("a", () => {
          throw new Error("broken");
        }),
      /broken/,
    );
    assert.equal(await flights.run("a", async () => "fine"), "fine");
  });
});

/** Calls that end when the test ends them. */
function counting(): {
  readonly flights: SingleFlight<string>;
  readonly calls: {
    readonly open: PromiseWithResolvers<string>[];
    readonly start: () => Promise<string>;
  };
} {
  const open: PromiseWithResolvers<string>[] = [];
  const start = (): Promise<string> => {
    const call = Promise.withResolvers<string>();
    open.push(call);
    return call.promise;
  };
  return { flights: new SingleFlight<string>(), calls: { open, start } };
}
