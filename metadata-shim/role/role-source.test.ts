import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "../../lib/kube/connection.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { startObjectServer, type ObjectServer } from "../../test/fakes/object-server.ts";
import { defineConfig } from "../../lib/config.ts";
import type { Caller } from "../caller/caller.ts";
import { ROLE_SETTINGS, roleSettingsOf } from "./role-config.ts";
import { createRoleSource, type RoleSource } from "./role-source.ts";

const ROLE_KEY = "eks.amazonaws.com/role-arn";
const READER = "arn:aws:iam::111122223333:role/team/reader";
const ACCOUNT_PATH = "/api/v1/namespaces/team/serviceaccounts/app";
const NAMESPACE_PATH = "/api/v1/namespaces/team";

const caller: Caller = {
  podUid: "uid-1",
  podName: "app-0",
  namespace: "team",
  serviceAccount: "app",
  address: "10.1.0.2",
  podAnnotations: {},
};

interface Started extends AsyncDisposable {
  readonly server: ObjectServer;
  readonly source: RoleSource;
  readonly clock: ReturnType<typeof createMovedClock>;
  readonly lines: ReturnType<typeof createCollectedLog>["lines"];
  putAccount(annotations: Readonly<Record<string, string>>, uid?: string): void;
  putNamespace(annotations: Readonly<Record<string, string>>): void;
}

async function start(argv: readonly string[] = []): Promise<Started> {
  const server = await startObjectServer();
  const clock = createMovedClock();
  const { log, lines } = createCollectedLog();
  const source = createRoleSource({
    connection: connect({ kubeApi: server.url }),
    settings: roleSettingsOf(defineConfig(ROLE_SETTINGS).parse(argv, {}), undefined),
    maxAgeMs: 10_000,
    timeoutMs: 5000,
    clock,
    log,
  });
  return {
    server,
    source,
    clock,
    lines,
    putAccount: (annotations, uid = "sa-uid-1") =>
      server.put(ACCOUNT_PATH, { metadata: { annotations, uid } }),
    putNamespace: (annotations) => server.put(NAMESPACE_PATH, { metadata: { annotations } }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

describe("createRoleSource", () => {
  it("decides by the ServiceAccount, and by its namespace", async () => {
    await using started = await start();
    started.putAccount({ [ROLE_KEY]: READER, "eks.amazonaws.com/audience": "aud", other: "x" });
    started.putNamespace({ "irsa-anywhere.io/http-tokens": "optional" });
    assert.deepEqual(await started.source.decideRole(caller), {
      status: "allowed",
      roleArn: READER,
      shownName: "reader",
      otherNames: [],
      audience: "aud",
      serviceAccountUid: "sa-uid-1",
      externalId: undefined,
      sessionName: undefined,
      legacy: false,
    });
    assert.equal(await started.source.httpTokensOf("team"), "optional");
    const before = started.server.requests.length;
    await started.source.decideRole(caller);
    assert.equal(started.server.requests.length, before);
  });

  it("follows a change of either within 10 seconds", async () => {
    await using started = await start();
    started.putAccount({ [ROLE_KEY]: READER });
    started.putNamespace({});
    assert.equal((await started.source.decideRole(caller)).status, "allowed");
    started.putNamespace({ "irsa-anywhere.io/allowed-roles": "[]" });
    started.clock.advance(10_000);
    assert.deepEqual(await started.source.decideRole(caller), {
      status: "forbidden",
      reason: `role ${READER} is not in the namespace's irsa-anywhere.io/allowed-roles`,
    });
    started.putNamespace({});
    started.putAccount({}, "sa-uid-2");
    started.clock.advance(10_000);
    assert.deepEqual(await started.source.decideRole(caller), { status: "none" });
  });

  it("follows a change of the namespace when only the ServiceAccount was read lately", async () => {
    await using started = await start();
    started.putNamespace({});
    assert.equal(await started.source.httpTokensOf("team"), undefined);
    started.clock.advance(6000);
    started.putAccount({ [ROLE_KEY]: READER });
    assert.equal((await started.source.decideRole(caller)).status, "allowed");
    started.putNamespace({ "irsa-anywhere.io/allowed-roles": "[]" });
    started.clock.advance(4000);
    assert.equal((await started.source.decideRole(caller)).status, "forbidden");
  });

  it("gives the namespace's default role and audience where the ServiceAccount names none", async () => {
    await using started = await start();
    started.putAccount({});
    started.putNamespace({
      "irsa-anywhere.io/default-role": READER,
      "irsa-anywhere.io/default-audience": "aud",
    });
    const decision = await started.source.decideRole(caller);
    assert.ok(decision.status === "allowed");
    assert.deepEqual([decision.roleArn, decision.audience], [READER, "aud"]);
  });

  it("puts kube2iam's names behind its base, completed by a slash, and kiam's as it is", async () => {
    const podAnnotations = { "iam.amazonaws.com/role": "reader" };
    for (const [argv, roleArn] of [
      [["--profile=kube2iam", "--base-role-arn=arn:aws:iam::111122223333:role"], "role/reader"],
      [["--profile=kube2iam", "--base-role-arn=arn:aws:iam::111122223333:role/"], "role/reader"],
      [
        ["--profile=kube2iam", "--role-base-arn=arn:aws:iam::111122223333:role/my-"],
        "role/my-reader",
      ],
    ] as const) {
      await using started = await start(argv);
      started.putAccount({});
      started.putNamespace({});
      const decision = await started.source.decideRole({ ...caller, podAnnotations });
      assert.ok(decision.status === "allowed");
      assert.equal(decision.roleArn, `arn:aws:iam::111122223333:${roleArn}`);
      assert.equal(decision.legacy, true);
    }
  });

  it("reads no pod annotation in the strict profile", async () => {
    await using started = await start(["--base-role-arn=arn:aws:iam::111122223333:role/"]);
    started.putAccount({});
    started.putNamespace({});
    const podAnnotations = { "iam.amazonaws.com/role": "reader" };
    assert.deepEqual(await started.source.decideRole({ ...caller, podAnnotations }), {
      status: "none",
    });
  });

  it("gives no role to a pod without a ServiceAccount, or of one that is gone", async () => {
    await using started = await start(["--default-role", READER]);
    started.putNamespace({});
    assert.deepEqual(await started.source.decideRole({ ...caller, serviceAccount: "" }), {
      status: "none",
    });
    assert.deepEqual(await started.source.decideRole(caller), { status: "none" });
  });

  it("says that nobody knows when either cannot be read, and keeps what it knew", async () => {
    await using started = await start();
    started.putAccount({ [ROLE_KEY]: READER });
    started.putNamespace({});
    started.server.faultOf = ({ path }) =>
      path === NAMESPACE_PATH ? { kind: "status", status: 403 } : undefined;
    const reason = "Cannot read /api/v1/namespaces/team: the API server answered 403";
    assert.deepEqual(await started.source.decideRole(caller), { status: "unavailable", reason });
    assert.equal(await started.source.httpTokensOf("team"), undefined);
    started.server.faultOf = () => undefined;
    assert.equal((await started.source.decideRole(caller)).status, "allowed");
    started.server.faultOf = () => ({ kind: "close" });
    started.clock.advance(60_000);
    assert.equal((await started.source.decideRole(caller)).status, "allowed");
  });

  it("asks for nothing by names that would be more of a path", async () => {
    await using started = await start();
    started.putNamespace({});
    const account = { ...caller, serviceAccount: "app/token/b" };
    assert.deepEqual(await started.source.decideRole(account), { status: "none" });
    const namespace = { ...caller, namespace: "team/pods/a" };
    assert.equal((await started.source.decideRole(namespace)).status, "unavailable");
    assert.equal(await started.source.httpTokensOf("team/pods/a"), undefined);
    const asked = started.server.requests.map(({ path }) => path);
    assert.deepEqual(asked, [NAMESPACE_PATH]);
  });

  it("takes a namespace that is not found for one that nobody knows", async () => {
    await using started = await start();
    started.putAccount({ [ROLE_KEY]: READER });
    assert.deepEqual(await started.source.decideRole(caller), {
      status: "unavailable",
      reason: "Namespace team was not found",
    });
  });
});

describe("createRoleSource where ServiceAccounts may not be read", () => {
  const ANNOTATED = { ...caller, podAnnotations: { "iam.amazonaws.com/role": READER } };
  const FORBIDDEN = {
    status: "unavailable",
    reason: `Cannot read ${ACCOUNT_PATH}: the API server answered 403`,
  };
  const PERMITTED = { "iam.amazonaws.com/permitted": ".*" };

  /** Its ServiceAccount is there, and the API server answers so to whoever reads it. */
  async function startWith(status: number, argv: readonly string[]): Promise<Started> {
    const started = await start(argv);
    started.putAccount({ [ROLE_KEY]: READER, "eks.amazonaws.com/audience": "aud" });
    started.putNamespace(PERMITTED);
    started.server.faultOf = ({ path }) =>
      path === ACCOUNT_PATH ? { kind: "status", status } : undefined;
    return started;
  }

  for (const profile of ["kube2iam", "kiam"]) {
    it(`${profile}: decides by the pod's annotation, and asks and warns no more for each`, async () => {
      await using started = await startWith(403, [`--profile=${profile}`]);
      const { source, server, lines, clock } = started;
      const decision = await source.decideRole(ANNOTATED);
      assert.ok(decision.status === "allowed");
      assert.deepEqual(
        [decision.roleArn, decision.audience, decision.serviceAccountUid],
        [READER, "sts.amazonaws.com", undefined],
      );
      const asked = server.requests.length;
      assert.deepEqual(await source.decideRole(ANNOTATED), decision);
      assert.equal(server.requests.length, asked);
      clock.advance(10_000);
      assert.deepEqual(await source.decideRole({ ...ANNOTATED, podUid: "uid-2" }), decision);
      assert.deepEqual(await source.decideRole({ ...caller, serviceAccount: "b" }), {
        status: "none",
      });
      assert.equal(lines.length, 1);
      assert.match(String(lines[0]?.["msg"]), /^May not read ServiceAccounts: /);
      assert.deepEqual(lines[0]?.["notFollowed"], [ROLE_KEY, "eks.amazonaws.com/audience"]);
    });

    it(`${profile}: nobody knows the role of a pod without an annotation`, async () => {
      await using started = await startWith(403, [
        `--profile=${profile}`,
        `--default-role=${READER}`,
      ]);
      started.putNamespace({ ...PERMITTED, "irsa-anywhere.io/default-role": READER });
      assert.deepEqual(await started.source.decideRole(caller), FORBIDDEN);
    });

    for (const fault of [500, 503, 429, 401]) {
      it(`${profile}: nobody knows the role of any pod when the answer is ${fault}`, async () => {
        await using started = await startWith(fault, [`--profile=${profile}`]);
        const { status } = await started.source.decideRole(ANNOTATED);
        assert.equal(status, "unavailable");
        assert.deepEqual(started.lines, []);
      });
    }

    it(`${profile}: keeps what it knew of a ServiceAccount, and follows it once it may`, async () => {
      await using started = await startWith(403, [`--profile=${profile}`]);
      const { source, server, clock } = started;
      await source.decideRole(ANNOTATED);
      const fault = server.faultOf;
      server.faultOf = () => undefined;
      clock.advance(10_000);
      const read = await source.decideRole(ANNOTATED);
      assert.ok(read.status === "allowed");
      assert.deepEqual([read.audience, read.serviceAccountUid], ["aud", "sa-uid-1"]);
      server.faultOf = fault;
      clock.advance(10_000);
      assert.deepEqual(await source.decideRole(ANNOTATED), read);
    });
  }

  it("strict: nobody knows the role of any pod", async () => {
    await using started = await startWith(403, ["--profile=strict"]);
    assert.deepEqual(await started.source.decideRole(ANNOTATED), FORBIDDEN);
    assert.deepEqual(started.lines, []);
  });

  it("kube2iam: nobody knows the rules of a namespace that may not be read", async () => {
    await using started = await startWith(403, ["--profile=kube2iam"]);
    started.server.faultOf = () => ({ kind: "status", status: 403 });
    assert.equal((await started.source.decideRole(ANNOTATED)).status, "unavailable");
  });
});
