import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import {
  createNodeWorld,
  METADATA,
  NODE,
  type NodeWorld,
  type RunningPod,
} from "../../test/fakes/node-world.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { until } from "../../test/fakes/until.ts";
import type { Caller, CallerDecision } from "../caller/caller.ts";
import { createIdentifyCaller } from "../caller/identify-caller.ts";
import { podKeeper } from "../caller/known-pod.ts";
import { LivePods } from "../caller/live-pods.ts";
import { followNodePods } from "../caller/node-pods.ts";
import { decideRole } from "./decide-role.ts";
import { namespaceRulesOf } from "./namespace-rules.ts";
import { PROFILE_ANSWERS, type ProfileAnswer, type RefusalFacts } from "./profile-answers.ts";
import { PROFILE_TRAITS, PROFILES, type Profile } from "./profile.ts";
import type { RoleDecision } from "./role-decision.ts";
import type { RoleSettings } from "./role-settings.ts";

// The rows C01 to C42 of what kube2iam and kiam do, in each profile, as far as they are about who
// calls, which role that is, and what is said. The others are about the protocol (C02, C04, C32-C36,
// C38), about credentials (C27-C31) and about rules of the network (C42), and are tested there.

const BASE = "arn:aws:iam::111122223333:role/";
const OTHER = "arn:aws:iam::444455556666:role/";
const POD_KEYS = {
  role: "iam.amazonaws.com/role",
  externalId: "iam.amazonaws.com/external-id",
  sessionName: "iam.amazonaws.com/session-name",
};
const ALLOWED_ROLES = "iam.amazonaws.com/allowed-roles";
const PERMITTED = "iam.amazonaws.com/permitted";

interface Given {
  /** On the pod, and on the ServiceAccount as an ARN where pods are not asked. */
  readonly role?: string;
  readonly pod?: Readonly<Record<string, string>>;
  readonly namespace?: Readonly<Record<string, string>>;
  readonly settings?: Partial<RoleSettings>;
}

/** What a namespace must say in a profile for its pods to have any role. */
const OPEN: Readonly<Record<Profile, Readonly<Record<string, string>>>> = {
  strict: {},
  kube2iam: {},
  kiam: { [PERMITTED]: ".*" },
};

function settingsOf(profile: Profile, settings: Partial<RoleSettings> = {}): RoleSettings {
  return {
    profile,
    annotationPrefix: "eks.amazonaws.com",
    audience: "sts.amazonaws.com",
    podKeys: POD_KEYS,
    baseRoleArn: BASE,
    defaultRole: "",
    allowedRoles: undefined,
    isPermittedUnanchored: false,
    sessionName: { format: "pod", kiamDefault: "kiam" },
    ...settings,
  };
}

function decide(profile: Profile, { role, pod, namespace, settings }: Given): RoleDecision {
  const isOnPod = PROFILE_TRAITS[profile].readsPodAnnotations;
  const arn = role?.startsWith("arn:") === true ? role : BASE + (role ?? "").replace(/^\//, "");
  const caller: Caller = {
    podUid: "uid-1",
    podName: "app",
    namespace: "team",
    serviceAccount: "app",
    address: "10.1.0.2",
    podAnnotations: { ...pod, ...(isOnPod && role !== undefined ? { [POD_KEYS.role]: role } : {}) },
  };
  const all = settingsOf(profile, settings);
  return decideRole({
    caller,
    serviceAccount: {
      uid: "sa-uid-1",
      annotations:
        isOnPod || role === undefined ? {} : ({ "eks.amazonaws.com/role-arn": arn } as const),
    },
    namespace: namespaceRulesOf(namespace ?? OPEN[profile], all),
    settings: all,
  });
}

const shown = ({ status, body }: ProfileAnswer): string => `${status} ${body}`;

/** What is answered to a decision: a name, the role whose credentials they are, or a refusal. */
function answer(profile: Profile, decision: RoleDecision, requestedName?: string): string {
  const asked = requestedName === undefined ? "list" : "credentials";
  const facts: RefusalFacts = { asked, address: "10.1.0.2", requestedName };
  const refusals = PROFILE_ANSWERS[profile];
  if (decision.status === "unavailable") return "503";
  if (decision.status === "none") return shown(refusals["no-role"](facts));
  if (decision.status === "forbidden") {
    return shown(refusals["role-forbidden"]({ ...facts, denial: decision.reason }));
  }
  const { shownName, otherNames = [], roleArn } = decision;
  if (requestedName === undefined) return `200 ${shownName}`;
  if ([shownName, roleArn, ...otherNames].includes(requestedName)) return `credentials ${roleArn}`;
  return shown(refusals["other-role"](facts));
}

const list = (profile: Profile, given: Given): string => answer(profile, decide(profile, given));
const get = (profile: Profile, given: Given, name: string): string =>
  answer(profile, decide(profile, given), name);

/** The same expectation in each profile, or one for each. */
type Expected = string | RegExp | Readonly<Record<Profile, string | RegExp>>;

interface Row {
  readonly id: string;
  readonly title: string;
  readonly ask: (profile: Profile) => string;
  readonly expected: Expected;
}

const app = { role: "app-role" };
const restricted = (...patterns: readonly string[]): Given => ({
  role: "my-role-admin",
  namespace: { ...OPEN.kiam, [ALLOWED_ROLES]: JSON.stringify(patterns) },
  settings: { allowedRoles: { key: ALLOWED_ROLES, format: "regexp", isUnanchored: false } },
});
const NOT_ALLOWED = /^404 role \S+ is not allowed in this namespace: /;
const NOT_PERMITTED = /^403 .*role \S+ is not permitted in this namespace: /;
const rows: readonly Row[] = [
  {
    id: "C01",
    title: "the list has the one name, without a newline",
    ask: (p) => list(p, app),
    expected: "200 app-role",
  },
  {
    id: "C03",
    title: "its path has the credentials",
    ask: (p) => get(p, app, "app-role"),
    expected: `credentials ${BASE}app-role`,
  },
  {
    id: "C05",
    title: "so has the path of the whole ARN",
    ask: (p) => get(p, app, `${BASE}app-role`),
    expected: `credentials ${BASE}app-role`,
  },
  {
    id: "C06",
    title: "another role is refused",
    ask: (p) => get(p, app, "x"),
    expected: {
      strict: "404 This is not the role of this pod",
      kube2iam: "403 Invalid role x\n",
      kiam: "403 error fetching credentials: forbidden by policy\n",
    },
  },
  ...[BASE, ""].map((baseRoleArn) => ({
    id: "C07",
    title: `no role is 404, ${baseRoleArn === "" ? "without" : "with"} a base`,
    ask: (p: Profile) => list(p, { settings: { baseRoleArn } }),
    expected: {
      strict: "404 This pod has no role",
      kube2iam: "404 unable to find role for IP 10.1.0.2\n",
      kiam: "404 empty role\n",
    },
  })),
  {
    id: "C08",
    title: "the default role is for pods without one",
    ask: (p) => list(p, { settings: { defaultRole: "fallback" } }),
    expected: "200 fallback",
  },
  {
    id: "C08",
    title: "the default role is for no others",
    ask: (p) => list(p, { ...app, settings: { defaultRole: "fallback" } }),
    expected: "200 app-role",
  },
  {
    id: "C09",
    title: "a role with a path is listed",
    ask: (p) => list(p, { role: "team/app-role" }),
    expected: { strict: "200 app-role", kube2iam: "200 team/app-role", kiam: "200 team/app-role" },
  },
  {
    id: "C09",
    title: "a role with a path is fetched by what is listed",
    ask: (p) => get(p, { role: "team/app-role" }, p === "strict" ? "app-role" : "team/app-role"),
    expected: `credentials ${BASE}team/app-role`,
  },
  {
    id: "C09",
    title: "a role of another account is listed",
    ask: (p) => list(p, { role: `${OTHER}app-role` }),
    expected: {
      strict: "200 app-role",
      kube2iam: `200 ${OTHER}app-role`,
      kiam: `200 ${OTHER}app-role`,
    },
  },
  {
    id: "C09",
    title: "a role of another account is fetched",
    ask: (p) => get(p, { role: `${OTHER}app-role` }, `${OTHER}app-role`),
    expected: `credentials ${OTHER}app-role`,
  },
  {
    id: "C10",
    title: "a slash in front counts for nothing in the list",
    ask: (p) => list(p, { role: "/app-role" }),
    expected: "200 app-role",
  },
  {
    id: "C10",
    title: "a slash in front counts for nothing in the path",
    ask: (p) => get(p, { role: "/app-role" }, "app-role"),
    expected: `credentials ${BASE}app-role`,
  },
  {
    id: "C20",
    title: "a namespace must permit a role in kiam's profile alone",
    ask: (p) => list(p, { ...app, namespace: {} }),
    expected: { strict: "200 app-role", kube2iam: "200 app-role", kiam: NOT_PERMITTED },
  },
  {
    id: "C21",
    title: "an expression for a name is for no longer one",
    ask: (p) => list(p, restricted("my-role")),
    expected: { strict: "200 my-role-admin", kube2iam: NOT_ALLOWED, kiam: "200 my-role-admin" },
  },
  {
    id: "C22",
    title: "an empty expression allows nothing",
    ask: (p) => list(p, restricted("")),
    expected: { strict: "200 my-role-admin", kube2iam: NOT_ALLOWED, kiam: "200 my-role-admin" },
  },
  {
    id: "C23",
    title: "each alternative of what is permitted must match the whole ARN",
    ask: (p) =>
      list(p, { role: "my-role-admin", namespace: { [PERMITTED]: `${BASE}my-role|nothing` } }),
    expected: {
      strict: "200 my-role-admin",
      kube2iam: "200 my-role-admin",
      kiam: NOT_PERMITTED,
    },
  },
  {
    id: "C24",
    title: "what a namespace does not allow is refused in the list",
    ask: (p) =>
      list(p, { ...app, namespace: { ...OPEN[p], "irsa-anywhere.io/allowed-roles": "[]" } }),
    expected: { strict: /^403 role /, kube2iam: /^404 role /, kiam: /^403 error fetching / },
  },
  {
    id: "C24",
    title: "what a namespace does not allow is refused in its path",
    ask: (p) =>
      get(
        p,
        { ...app, namespace: { ...OPEN[p], "irsa-anywhere.io/allowed-roles": "[]" } },
        "app-role",
      ),
    expected: { strict: /^403 role /, kube2iam: /^404 role /, kiam: /^403 error fetching / },
  },
  ...["good", "bad"].map((externalId) => ({
    id: "C25",
    title: `the external id "${externalId}" goes with the pod that has it`,
    ask: (p: Profile) => {
      const decision = decide(p, { ...app, pod: { [POD_KEYS.externalId]: externalId } });
      return decision.status === "allowed" ? String(decision.externalId) : decision.status;
    },
    expected: { strict: "undefined", kube2iam: externalId, kiam: externalId },
  })),
  {
    id: "C26",
    title: "a session name has only what STS takes, and is no longer than that",
    ask: (p) => {
      const pod = { [POD_KEYS.sessionName]: `team/a b${"x".repeat(100)}` };
      const decision = decide(p, { ...app, pod });
      return decision.status === "allowed" ? String(decision.sessionName) : decision.status;
    },
    expected: {
      strict: "undefined",
      kube2iam: "undefined",
      kiam: `kiam-team-a-b${"x".repeat(51)}`,
    },
  },
  {
    id: "C40",
    title: "a malformed ARN is refused, and nothing else happens",
    ask: (p) => list(p, { role: "arn:bad" }),
    expected: {
      strict: /^403 role "arn:bad" is no role/,
      kube2iam: /^404 role "arn:bad" is no role/,
      kiam: /^403 .*role "arn:bad" is no role/,
    },
  },
  {
    id: "C41",
    title: "a malformed list of roles allows nothing",
    ask: (p) => list(p, { ...restricted(), namespace: { ...OPEN.kiam, [ALLOWED_ROLES]: "[my" } }),
    expected: { strict: "200 my-role-admin", kube2iam: NOT_ALLOWED, kiam: "200 my-role-admin" },
  },
];

interface CallerRow {
  readonly id: string;
  readonly title: string;
  readonly prepare: (world: NodeWorld) => RunningPod;
  /** While the caller waits. */
  readonly meanwhile?: (world: NodeWorld) => void;
  readonly address?: string;
  readonly expected: Expected;
}

const one: RunningPod = { uid: "1", name: "one", addresses: ["10.1.0.2"], isVirtual: false };
const two: RunningPod = { uid: "2", name: "two", addresses: ["10.1.0.2"], isVirtual: false };

function startKnown(world: NodeWorld, ...pods: readonly RunningPod[]): void {
  for (const pod of pods) {
    world.start(pod);
    world.report(pod.uid);
  }
  world.api.deliver();
}

const UNKNOWN = {
  strict: "404 No pod of this node has this address",
  kube2iam: '404 pod with specificed IP "10.1.0.2" not found\n',
  kiam: "500 rpc error: code = Unknown desc = pod not found\n",
};

const callerRows: readonly CallerRow[] = [
  { id: "C11", title: "an address that nobody has", prepare: () => one, expected: UNKNOWN },
  {
    id: "C12",
    title: "a pod that appears while it waits",
    prepare: (world) => {
      world.start(one);
      return one;
    },
    meanwhile: (world) => {
      world.report("1");
      world.api.deliver();
    },
    expected: "pod 1",
  },
  ...(["finished", "removed"] as const).map((how) => ({
    id: "C13",
    title: `the address of a pod that is ${how}`,
    prepare: (world: NodeWorld) => {
      startKnown(world, one);
      world.stop("1");
      world.report("1", how);
      world.api.deliver();
      return one;
    },
    expected: UNKNOWN,
  })),
  {
    id: "C14",
    title: "a finished pod and a running one",
    prepare: (world) => {
      startKnown(world, one);
      world.stop("1");
      world.report("1", "finished");
      startKnown(world, two);
      return two;
    },
    expected: "pod 2",
  },
  {
    id: "C15",
    title: "two running pods",
    prepare: (world) => {
      startKnown(world, one);
      world.stop("1");
      startKnown(world, two);
      return two;
    },
    expected: {
      strict: "503 More than one pod has this address",
      kube2iam: "404 2 pods ([team/one team/two]) with the ip 10.1.0.2 indexed\n",
      kiam: "500 rpc error: code = Unknown desc = multiple running pods found\n",
    },
  },
  {
    id: "C16",
    title: "a pod that is Pending and has its address",
    prepare: (world) => {
      world.start(one);
      world.api.put(podAt("10.1.0.2", { phase: "Pending" }));
      world.api.deliver();
      return one;
    },
    expected: "pod 1",
  },
  {
    id: "C17",
    title: "a pod that came in place of one whose end was missed",
    prepare: (world) => {
      startKnown(world, one);
      world.stop("1");
      world.report("1");
      world.start(two);
      world.report("2");
      // The watch has told of neither, and a new list comes.
      world.api.cut();
      return two;
    },
    meanwhile: (world) => world.api.deliver(),
    expected: "pod 2",
  },
  {
    id: "C18",
    title: "a pod that is told to end",
    prepare: (world) => {
      world.start(one);
      world.api.put(podAt("10.1.0.2", { deletionTimestamp: "2026-01-01T00:00:00Z" }));
      world.api.deliver();
      return one;
    },
    expected: "pod 1",
  },
  {
    id: "C37",
    title: "a pod of another node",
    prepare: (world) => {
      world.start(one);
      world.api.put(podAt("10.1.0.2", { nodeName: "node-b" }));
      world.api.deliver();
      return one;
    },
    expected: UNKNOWN,
  },
  {
    id: "C39",
    title: "a pod of both families by IPv6",
    prepare: (world) => {
      const both = { ...one, addresses: ["10.1.0.2", "fd00::2"] };
      startKnown(world, both);
      return both;
    },
    address: "fd00::2",
    expected: "pod 1",
  },
];

function podAt(
  podIP: string,
  {
    phase = "Running",
    nodeName = NODE,
    deletionTimestamp,
  }: {
    readonly phase?: string;
    readonly nodeName?: string;
    readonly deletionTimestamp?: string;
  },
) {
  return {
    metadata: {
      uid: "1",
      name: "one",
      namespace: "team",
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    spec: { nodeName, serviceAccountName: "app" },
    status: { phase, podIP },
  };
}

async function whoCalls(profile: Profile, row: CallerRow): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const world = createNodeWorld();
  const clock = createMovedClock();
  const { connection } = world.api;
  const keep = podKeeper({ nodeName: NODE, keys: Object.values(POD_KEYS) });
  const { log } = createCollectedLog();
  const pods = stack.use(
    followNodePods({ connection, nodeName: NODE, keep, clock, random: () => 0.5, log }),
  );
  await pods.whenSynced;
  const { waitMs } = PROFILE_TRAITS[profile];
  const identify = createIdentifyCaller({
    pods,
    livePods: new LivePods({ connection, nodeName: NODE, keep, timeoutMs: 1000 }),
    endpoints: [METADATA],
    waitMs,
    httpTokensOf: async () => undefined,
    clock,
  });
  const pod = row.prepare(world);
  const address = row.address ?? "10.1.0.2";
  let decision: CallerDecision | undefined;
  const asked = Promise.resolve(identify(address, world.connect(pod, address))).then(
    (got) => (decision = got),
  );
  await until(
    "it waits or is answered",
    () => decision !== undefined || clock.sleepers().includes(waitMs),
  );
  clock.advance(300);
  row.meanwhile?.(world);
  const refusals = PROFILE_ANSWERS[profile];
  if (row.expected !== "pod 1" && row.expected !== "pod 2") {
    clock.advance(waitMs);
  }
  const { status, ...facts } = await asked;
  if (status === "known") return `pod ${"caller" in facts ? facts.caller.podUid : ""}`;
  const reasons = { unknown: "caller-unknown", ambiguous: "caller-ambiguous" } as const;
  if (status === "unavailable") return "503";
  const podNames = "podNames" in facts ? facts.podNames : [];
  return shown(refusals[reasons[status]]({ asked: "list", address, podNames }));
}

function assertExpected(profile: Profile, said: string, expected: Expected): void {
  const isForAll = typeof expected === "string" || expected instanceof RegExp;
  const wanted = isForAll ? expected : expected[profile];
  if (wanted instanceof RegExp) assert.match(said, wanted);
  else assert.equal(said, wanted);
}

for (const profile of PROFILES) {
  describe(`profile ${profile}`, () => {
    for (const { id, title, ask, expected } of rows) {
      it(`${id}: ${title}`, () => assertExpected(profile, ask(profile), expected));
    }
    for (const row of callerRows) {
      it(`${row.id}: ${row.title}`, async () => {
        assertExpected(profile, await whoCalls(profile, row), row.expected);
      });
    }
  });
}
