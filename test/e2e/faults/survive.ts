import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { accountPath, ROLE_KEY, type Created } from "./cluster-changes.ts";
import { ROLE, until, type FollowingWebhook } from "./following-webhook.ts";
import { startLoad } from "./load.ts";

const OTHER_ROLE = "arn:aws:iam::111122223333:role/writer";
const ALLOWED_KEY = "irsa-anywhere.io/allowed-roles";
/** How long a fault lasts at least. */
export const FAULT_SECONDS = 5;

/** A way in which the API server fails. */
export interface Fault {
  readonly slug: string;
  begin(): Promise<void>;
  /** What has to be so before it ends, beside its shortest time. */
  hold?(): Promise<void>;
  end(): Promise<void>;
  /** Shortest staleness that the metric shows when it ends. */
  readonly seconds: number;
  /** Whether single objects can be read meanwhile, so that nothing is unknown. */
  readonly readsLive: boolean;
  /** What the log says why objects could not be followed. */
  readonly reason: RegExp;
  /** Whether ServiceAccounts are listed anew, rather than watched from where it broke off. */
  readonly relists: boolean;
}

const TIERS = { open: "enabled", strict: "required" } as const;

/** Lives through a fault: what is there before, what changes meanwhile, what is seen afterwards. */
export async function survive(
  t: TestContext,
  webhook: FollowingWebhook,
  fault: Fault,
): Promise<void> {
  const { slug, readsLive } = fault;
  const { changes, lines } = webhook;
  const namespaces = Object.keys(TIERS).map((tier) => `${tier}-${slug}`);
  const [open = "", strict = ""] = namespaces;
  await changes.addNamespace(open, TIERS.open);
  await changes.addNamespace(strict, TIERS.strict);
  await changes.addNamespace(`policy-${slug}`, "required");
  await changes.addAccount(`policy-${slug}`, "steady", ROLE);
  for (const namespace of namespaces) {
    for (const name of ["steady", "changed", "deleted"])
      await changes.addAccount(namespace, name, ROLE);
    for (const name of ["annotated", "plain"]) await changes.addAccount(namespace, name);
  }
  await webhook.untilFresh();
  const seen = lines.length;

  const load = startLoad(changes, strict);
  await fault.begin();
  await changes.addNamespace(`late-${slug}`, "required");
  await changes.addAccount(`late-${slug}`, "steady", ROLE);
  await changes.patch(`/api/v1/namespaces/policy-${slug}`, { [ALLOWED_KEY]: "[]" });
  for (const namespace of namespaces) {
    await changes.patch(accountPath(namespace, "changed"), { [ROLE_KEY]: OTHER_ROLE });
    await changes.patch(accountPath(namespace, "annotated"), { [ROLE_KEY]: ROLE });
    await changes.deleteAccount(namespace, "deleted");
    await changes.addAccount(namespace, "fresh", ROLE);
  }

  await until("the metric shows the fault", async () => {
    assert.match((await changes.createPod(open, "changed")).roleArn ?? "", /reader|writer/);
    for (const [namespace, name] of [
      [open, "annotated"],
      [strict, "annotated"],
      [open, "fresh"],
      [strict, "fresh"],
      [`late-${slug}`, "steady"],
    ] as const) {
      assertNothingSilent(await changes.createPod(namespace, name), namespace, readsLive);
    }
    return (await webhook.staleSeconds()) >= FAULT_SECONDS;
  });
  await fault.hold?.();
  const peakSeconds = await webhook.staleSeconds();
  assert.ok(peakSeconds >= fault.seconds, `only ${peakSeconds} s stale`);
  await fault.end();
  const endMs = performance.now();

  await until("it has seen all changes", async () => {
    const reads = await webhook.liveReads();
    const [changed, annotated, fresh] = await Promise.all(
      ["changed", "annotated", "fresh"].map((name) => changes.createPod(strict, name)),
    );
    const late = await changes.createPod(`late-${slug}`, "steady");
    const policy = await changes.createPod(`policy-${slug}`, "steady");
    const roles = [changed, annotated, fresh, late].map((pod) => pod?.roleArn);
    return (
      roles.join() === [OTHER_ROLE, ROLE, ROLE, ROLE].join() &&
      policy.status === 403 &&
      // From its own copy, not because it asked.
      (await webhook.liveReads()) === reads
    );
  });
  const seconds = Math.round((performance.now() - endMs) / 100) / 10;
  await webhook.untilFresh();
  await load.stop();
  for (const namespace of namespaces) {
    for (const [name, role] of [
      ["steady", ROLE],
      ["changed", OTHER_ROLE],
      ["annotated", ROLE],
      ["fresh", ROLE],
      ["plain", undefined],
    ] as const) {
      const { status, roleArn, warning } = await changes.createPod(namespace, name);
      assert.deepEqual([status, roleArn, warning], [201, role, ""], `${namespace}/${name}`);
    }
  }
  assert.equal(await webhook.reasonFor(open, "deleted"), "service-account-not-found");
  const since = lines.slice(seen);
  const accounts = since.filter(({ path }) => path === "/api/v1/serviceaccounts");
  const reasons = accounts.flatMap(({ msg, reason }) =>
    msg === "Cannot follow objects" ? [String(reason)] : [],
  );
  assert.ok(
    reasons.some((reason) => fault.reason.test(reason)),
    reasons.join("; "),
  );
  const lists = accounts.filter(({ msg }) => msg === "Listed objects").length;
  assert.equal(lists > 0, fault.relists, `${lists} lists: ${reasons.join("; ")}`);
  t.diagnostic(
    `stale for ${Math.round(peakSeconds)} s, all seen ${seconds} s after the end, ` +
      `${load.pods} pods meanwhile`,
  );
}

/** A pod whose ServiceAccount has a role has it, or a warning, or is refused where it is required. */
function assertNothingSilent(pod: Created, namespace: string, readsLive: boolean): void {
  const { status, roleArn, warning, message } = pod;
  if (readsLive) return assert.deepEqual([status, roleArn, warning], [201, ROLE, ""], namespace);
  const unread = /its ServiceAccount could not be read/;
  if (namespace.startsWith("open-")) {
    assert.deepEqual([status, roleArn], [201, undefined]);
    assert.match(warning, unread);
  } else {
    assert.equal(status, 403, namespace);
    assert.match(message, /could not be read: try again/);
  }
}
