import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { CredentialCache } from "./credential-cache.ts";
import { failed, type CredentialResult } from "./credentials.ts";

const REQUEST = {
  caller: { podUid: "uid", podName: "app", namespace: "team", serviceAccount: "app" },
  role: { roleArn: "arn:aws:iam::111122223333:role/a", audience: "sts", serviceAccountUid: "sa" },
};
const OUTAGE = failed({ kind: "unavailable", code: "Timeout", message: "no answer" });
const MINUTE_MS = 60_000;

/** A cache whose every call of AWS is answered by the test. */
function start() {
  const clock = createMovedClock();
  const calls: ((result: CredentialResult) => void)[] = [];
  const cache = new CredentialCache({
    issue: () => {
      const { promise, resolve } = Promise.withResolvers<CredentialResult>();
      calls.push(resolve);
      return promise;
    },
    durationSeconds: 3600,
    patienceMs: 800,
    maxEntries: 10,
    clock,
    monotonicNow: () => clock.now(),
    random: () => 0.5,
  });
  const good = (accessKeyId: string): CredentialResult => {
    const issuedAtMs = clock.now();
    const times = { issuedAtMs, expiresAtMs: issuedAtMs + 60 * MINUTE_MS };
    const secrets = { secretAccessKey: "", sessionToken: "" };
    return { status: "good", credentials: { accessKeyId, ...secrets, ...times } };
  };
  const move = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await nextTurn();
  };
  /** Moves to just before the next thing that was planned. */
  const moveToNext = (): Promise<void> => move((clock.sleepers()[0] ?? 0) - 1);
  const obtain = async (): Promise<string> => {
    const result = await cache.obtain(REQUEST);
    return result.status === "good" ? result.credentials.accessKeyId : result.code;
  };
  return { cache, calls, good, move, moveToNext, obtain };
}

describe("an entry at its end, while new credentials are on their way", () => {
  it("stays after a failure that is forgotten just then", async () => {
    const { cache, calls, good, move, moveToNext, obtain } = start();
    const first = obtain();
    calls[0]?.(OUTAGE);
    assert.equal(await first, "Timeout");
    await moveToNext();
    await move(1);
    await moveToNext();
    const second = obtain();
    await move(1);
    calls[1]?.(good("ASIA2"));
    assert.equal(await second, "ASIA2");
    assert.equal(cache.size, 1);
    assert.equal(await obtain(), "ASIA2");
  });

  it("stays when its credentials end just then", async () => {
    const { cache, calls, good, move, moveToNext, obtain } = start();
    const first = obtain();
    calls[0]?.(good("ASIA1"));
    assert.equal(await first, "ASIA1");
    await moveToNext();
    await move(1);
    // Renewed since somebody asked; nobody asks for these.
    calls[1]?.(good("ASIA2"));
    await nextTurn();
    await moveToNext();
    await move(1);
    await moveToNext();
    const second = obtain();
    await move(1);
    calls[2]?.(good("ASIA3"));
    assert.equal(await second, "ASIA3");
    assert.equal(cache.size, 1);
  });

  it("is dropped when nobody asks", async () => {
    const { cache, calls, move, moveToNext, obtain } = start();
    const first = obtain();
    calls[0]?.(OUTAGE);
    assert.equal(await first, "Timeout");
    await moveToNext();
    await move(1);
    await moveToNext();
    await move(1);
    assert.equal(cache.size, 0);
  });
});

describe("an entry of a pod that has another role now", () => {
  it("stays beside the role that the pod has in another way, by container credentials", async () => {
    const { cache, calls, good } = start();
    const ask = (roleArn: string, legacy: boolean): unknown =>
      cache.obtain({ ...REQUEST, role: { ...REQUEST.role, roleArn, legacy } });
    const [annotated, own] = [
      "arn:aws:iam::111122223333:role/a",
      "arn:aws:iam::111122223333:role/b",
    ];
    const first = Promise.all([ask(annotated, true), ask(own, false)]);
    calls[0]?.(good("one"));
    calls[1]?.(good("two"));
    await first;
    const again = [ask(annotated, true), ask(own, false)];
    assert.equal(calls.length, 2);
    await Promise.all(again);
    assert.equal(cache.size, 2);
  });

  it("is dropped when the pod asks by the new one, and another pod's is not", async () => {
    const { cache, calls, good, obtain } = start();
    const other = { ...REQUEST, caller: { ...REQUEST.caller, podUid: "other" } };
    const first = Promise.all([obtain(), cache.obtain(other)]);
    calls[0]?.(good("one"));
    calls[1]?.(good("other"));
    await first;
    const roleArn = "arn:aws:iam::111122223333:role/b";
    const changed = cache.obtain({ ...REQUEST, role: { ...REQUEST.role, roleArn } });
    calls[2]?.(good("two"));
    await changed;
    assert.equal(cache.size, 2);
    const back = obtain();
    calls[3]?.(good("three"));
    assert.equal(await back, "three");
    assert.equal(cache.size, 2);
  });
});
