import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FreshFlight } from "./fresh-flight.ts";

/** Calls that end when they are told to, each with its number from 1 on. */
class Calls {
  readonly #running: PromiseWithResolvers<number>[] = [];

  readonly start = (): Promise<number> => {
    const call = Promise.withResolvers<number>();
    this.#running.push(call);
    return call.promise;
  };

  get begun(): number {
    return this.#running.length;
  }

  finish(number: number): void {
    this.#running[number - 1]?.resolve(number);
  }

  fail(number: number): void {
    this.#running[number - 1]?.reject(new Error(`call ${number}`));
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("FreshFlight", () => {
  it("gives those who come during a call the next one, which they share", async () => {
    const [flight, calls] = [new FreshFlight<number>(), new Calls()];
    const first = flight.run("a", calls.start);
    const others = [1, 2, 3].map(() => flight.run("a", calls.start));
    assert.equal(calls.begun, 1);
    calls.finish(1);
    assert.equal(await first, 1);
    await turn();
    assert.equal(calls.begun, 2);
    const late = flight.run("a", calls.start);
    calls.finish(2);
    assert.deepEqual(await Promise.all(others), [2, 2, 2]);
    await turn();
    assert.equal(calls.begun, 3);
    calls.finish(3);
    assert.equal(await late, 3);
  });

  it("begins a call of its own after the others have ended", async () => {
    const [flight, calls] = [new FreshFlight<number>(), new Calls()];
    for (const number of [1, 2, 3]) {
      const result = flight.run("a", calls.start);
      calls.finish(number);
      assert.equal(await result, number);
      await turn();
    }
  });

  it("begins the next call also after a failure, which reaches only those of that call", async () => {
    const [flight, calls] = [new FreshFlight<number>(), new Calls()];
    const first = flight.run("a", calls.start);
    const second = flight.run("a", calls.start);
    calls.fail(1);
    await assert.rejects(first, /call 1/);
    await turn();
    calls.finish(2);
    assert.equal(await second, 2);
    const third = flight.run("a", calls.start);
    calls.finish(3);
    assert.equal(await third, 3);
  });

  it("keeps the keys apart", async () => {
    const [flight, calls] = [new FreshFlight<number>(), new Calls()];
    const results = ["a", "b"].map((key) => flight.run(key, calls.start));
    calls.finish(1);
    calls.finish(2);
    assert.deepEqual(await Promise.all(results), [1, 2]);
  });
});
