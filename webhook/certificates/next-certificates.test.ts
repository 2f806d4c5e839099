import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import { distrusting } from "./ca-bundle-patch.ts";
import {
  caBundleOf,
  expiryMsOf,
  isFor,
  type CertificateSettings,
  type CertificateState,
} from "./certificate-state.ts";
import { afterStep } from "./make-certificates.ts";
import { nextStep, type CertificateStep } from "./next-certificates.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START_MS = Date.UTC(2026, 0, 1);
const SETTINGS: CertificateSettings = {
  names: ["webhook", "webhook.eks.svc", "127.0.0.1"],
  certificateLifetimeMs: 10 * DAY_MS,
  renewBeforeMs: 3 * DAY_MS,
  caLifetimeMs: 30 * DAY_MS,
  caOverlapMs: DAY_MS,
};

/** Each state is made once from real keys; what is decided about it costs nothing. */
const at = (nowMs: number): Parameters<typeof afterStep>[2] => ({
  clock: { now: () => nowMs },
  settings: SETTINGS,
});
const fresh = await afterStep("create", undefined, at(START_MS));
const dueMs = START_MS + 20 * DAY_MS;
const renewed = await afterStep("renew", fresh, at(START_MS + 19 * DAY_MS));
const added = await afterStep("add-ca", renewed, at(dueMs));
const noted = await afterStep("note-trust", added, at(dueMs + HOUR_MS));
const switched = await afterStep("switch-ca", noted, at(dueMs + HOUR_MS + DAY_MS));
const switchMs = dueMs + HOUR_MS + DAY_MS;

function decide(
  state: CertificateState | undefined,
  nowMs: number,
  { isTrusted = true, settings = SETTINGS } = {},
): CertificateStep {
  return nextStep({ state, isTrusted, nowMs, settings });
}

describe("nextStep", () => {
  const rows: readonly (readonly [
    name: string,
    state: CertificateState | undefined,
    atMs: number,
    wanted: CertificateStep,
    isTrusted?: boolean,
  ])[] = [
    ["nothing usable", undefined, START_MS, { step: "create" }],
    ["a fresh state", fresh, START_MS, { step: "wait", untilMs: START_MS + 7 * DAY_MS }],
    [
      "just before a renewal",
      fresh,
      START_MS + 7 * DAY_MS - 1,
      { step: "wait", untilMs: START_MS + 7 * DAY_MS },
    ],
    ["at a renewal", fresh, START_MS + 7 * DAY_MS, { step: "renew" }],
    ["a serving certificate that has expired", fresh, START_MS + 12 * DAY_MS, { step: "renew" }],
    ["a CA that has expired", fresh, START_MS + 30 * DAY_MS, { step: "create" }],
    ["just before a new CA", renewed, dueMs - 1, { step: "wait", untilMs: dueMs }],
    ["at a new CA", renewed, dueMs, { step: "add-ca" }],
    [
      "a CA that is not trusted everywhere yet",
      added,
      dueMs,
      { step: "wait", untilMs: START_MS + 26 * DAY_MS },
      false,
    ],
    ["a CA that is trusted everywhere now", added, dueMs, { step: "note-trust" }],
    ["the overlap", noted, switchMs - 1, { step: "wait", untilMs: switchMs }],
    ["the end of the overlap", noted, switchMs, { step: "switch-ca" }],
    [
      "the end of the overlap with a bundle that was changed",
      noted,
      switchMs,
      { step: "wait", untilMs: START_MS + 26 * DAY_MS },
      false,
    ],
    [
      "a serving certificate that is due while a CA waits",
      added,
      START_MS + 26 * DAY_MS,
      { step: "renew" },
      false,
    ],
    ["an expired CA with a next one", added, START_MS + 30 * DAY_MS, { step: "switch-ca" }, false],
    ["an expired CA with an expired next one", added, dueMs + 30 * DAY_MS, { step: "create" }],
    [
      "the second overlap",
      switched,
      switchMs + DAY_MS - 1,
      { step: "wait", untilMs: switchMs + DAY_MS },
    ],
    ["the end of the second overlap", switched, switchMs + DAY_MS, { step: "retire-ca" }],
  ];
  for (const [name, state, atMs, wanted, isTrusted = true] of rows) {
    it(`decides on ${name}`, () => {
      assert.deepEqual(decide(state, atMs, { isTrusted }), wanted);
    });
  }

  it("renews at once when a name is asked for that the certificate lacks", () => {
    const settings: CertificateSettings = { ...SETTINGS, names: ["webhook", "other.example"] };
    assert.deepEqual(decide(fresh, START_MS, { settings }), { step: "renew" });
  });

  it("switches before the CA ends when a whole overlap is not left, as after all was off", async () => {
    const endMs = START_MS + 30 * DAY_MS;
    const lateMs = endMs - HOUR_MS;
    const late = await afterStep("note-trust", added, at(lateMs));
    const last = await afterStep("renew", late, at(lateMs));
    const switchAtMs = endMs - HOUR_MS / 2;
    assert.deepEqual(decide(last, lateMs), { step: "wait", untilMs: switchAtMs });
    assert.deepEqual(decide(last, switchAtMs), { step: "switch-ca" });
  });

  it("does not renew again and again what cannot outlive its CA", async () => {
    const lateMs = START_MS + 28 * DAY_MS;
    const last = await afterStep("renew", added, at(lateMs));
    assert.equal(expiryMsOf(last.serving.cert), expiryMsOf(last.signing.cert));
    const next = decide(last, lateMs, { isTrusted: false });
    assert.deepEqual(next, { step: "wait", untilMs: START_MS + 30 * DAY_MS });
  });
});

describe("a rotation", () => {
  it("keeps what anyone serves trusted by everyone, who may be late by the overlap", async () => {
    const seen: { readonly atMs: number; readonly state: CertificateState }[] = [];
    const steps: string[] = [];
    let state: CertificateState | undefined;
    let nowMs = START_MS;
    for (;;) {
      const next = decide(state, nowMs);
      if (next.step === "wait") {
        assert.ok(next.untilMs > nowMs, "a wait goes forward");
        nowMs = next.untilMs;
        if (nowMs > START_MS + 75 * DAY_MS) break;
        continue;
      }
      state = await afterStep(next.step, state, at(nowMs));
      assert.notEqual(decide(state, nowMs).step, next.step, "a step is done once");
      steps.push(next.step);
      for (const earlier of seen) {
        // What is over for longer than the overlap is known to all.
        const endMs = seen[seen.indexOf(earlier) + 1]?.atMs ?? nowMs;
        if (endMs <= nowMs - SETTINGS.caOverlapMs) continue;
        assertTrusts(state, earlier.state.serving.cert);
        assertTrusts(earlier.state, state.serving.cert);
      }
      seen.push({ atMs: nowMs, state });
      assert.ok(expiryMsOf(state.serving.cert) > nowMs + DAY_MS);
    }
    assert.deepEqual(
      ["create", "add-ca", "switch-ca", "retire-ca"].map(
        (s) => steps.filter((x) => x === s).length,
      ),
      [1, 3, 3, 3],
    );
  });

  it("leaves the key of a replaced CA nowhere", () => {
    const line = fresh.signing.key.split("\n")[5] ?? "";
    assert.equal(line.length, 64);
    assert.ok(JSON.stringify(noted).includes(line));
    assert.ok(!JSON.stringify(switched).includes(line));
  });

  it("makes certificates for all names, valid from an hour before and never beyond their CA", () => {
    const leaf = new X509Certificate(fresh.serving.cert);
    assert.equal(leaf.validFromDate.getTime(), START_MS - HOUR_MS);
    assert.equal(leaf.validToDate.getTime(), START_MS + 10 * DAY_MS);
    assert.equal(expiryMsOf(fresh.signing.cert), START_MS + 30 * DAY_MS);
    for (const name of SETTINGS.names) assert.ok(isFor(fresh.serving.cert, name), name);
    assert.ok(!isFor(fresh.serving.cert, "other"));
  });
});

function assertTrusts(state: CertificateState, servingPem: string): void {
  const caBundle = Buffer.from(caBundleOf(state)).toString("base64");
  const configuration = {
    metadata: { name: "c" },
    webhooks: [{ name: "w", clientConfig: { caBundle } }],
  };
  assert.deepEqual(distrusting(configuration, servingPem), []);
}
