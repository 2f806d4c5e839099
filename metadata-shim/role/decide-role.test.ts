import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decideRole, type KnownServiceAccount, type UnreadServiceAccount } from "./decide-role.ts";
import { namespaceRulesOf } from "./namespace-rules.ts";
import { PROFILE_TRAITS, PROFILES, type Profile } from "./profile.ts";
import type { RoleDecision } from "./role-decision.ts";
import type { RoleSettings } from "./role-settings.ts";

// What pods see of this, in each profile and over sockets, is in test/e2e/shim-compatibility.test.ts.

const BASE = "arn:aws:iam::111122223333:role/";
const OTHER = "arn:aws:iam::444455556666:role/app-role";
const KEYS = { role: "role", externalId: "external-id", sessionName: "session-name" };

function decide(
  profile: Profile,
  {
    pod = {},
    roleArn,
    serviceAccount = {
      uid: "sa-uid-1",
      annotations: roleArn === undefined ? {} : { "eks.amazonaws.com/role-arn": roleArn },
    },
    namespace = { "iam.amazonaws.com/permitted": ".*" },
    ...changes
  }: {
    readonly pod?: Readonly<Record<string, string>>;
    readonly roleArn?: string;
    readonly serviceAccount?: KnownServiceAccount | UnreadServiceAccount;
    readonly namespace?: Readonly<Record<string, string>>;
  } & Partial<RoleSettings>,
): RoleDecision {
  const settings: RoleSettings = {
    profile,
    annotationPrefix: "eks.amazonaws.com",
    audience: "sts.amazonaws.com",
    podKeys: KEYS,
    baseRoleArn: BASE,
    defaultRole: "",
    allowedRoles: undefined,
    isPermittedUnanchored: false,
    sessionName: { format: "pod", kiamDefault: "kiam" },
    ...changes,
  };
  return decideRole({
    caller: {
      podUid: "uid-1",
      podName: "app",
      namespace: "team",
      serviceAccount: "app",
      address: "10.1.0.2",
      podAnnotations: pod,
    },
    serviceAccount,
    namespace: namespaceRulesOf(namespace, settings),
    settings,
  });
}

/** ARN and names of a role, the one that is shown first. */
function named(decision: RoleDecision): readonly string[] {
  assert.equal(decision.status, "allowed");
  const { roleArn, shownName, otherNames = [] } = decision;
  return [roleArn, shownName, ...otherNames];
}

describe("decideRole", () => {
  for (const [annotation, kube2iam, kiam] of [
    ["app-role", [`${BASE}app-role`, "app-role"], [`${BASE}app-role`, "app-role"]],
    ["/app-role", [`${BASE}app-role`, "app-role"], [`${BASE}app-role`, "app-role"]],
    ["team/app", [`${BASE}team/app`, "team/app"], [`${BASE}team/app`, "team/app"]],
    [OTHER, [OTHER, OTHER], [OTHER, OTHER]],
    [`ARN:${BASE.slice(4)}app`, [`${BASE}app`, "app"], [`${BASE}app`, `ARN:${BASE.slice(4)}app`]],
  ] as const) {
    it(`names the role of the annotation ${annotation}`, () => {
      const pod = { [KEYS.role]: annotation };
      const [one, two] = (["kube2iam", "kiam"] as const).map((p) => named(decide(p, { pod })));
      assert.deepEqual([one?.slice(0, 2), two?.slice(0, 2)], [kube2iam, kiam]);
      assert.equal(decide("strict", { pod }).status, "none");
    });
  }

  for (const profile of PROFILES) {
    it(`${profile}: takes the ServiceAccount's role before the default one`, () => {
      const roleArn = `${BASE}team/own`;
      const defaultRole = "fallback";
      assert.equal(named(decide(profile, { roleArn, defaultRole }))[0], roleArn);
      assert.equal(named(decide(profile, { defaultRole }))[0], `${BASE}fallback`);
      assert.deepEqual(decide(profile, {}), { status: "none" });
    });

    it(`${profile}: tells what kube2iam or kiam would have given`, () => {
      const { readsPodAnnotations: isLegacy } = PROFILE_TRAITS[profile];
      for (const [inputs, legacy] of [
        [{ roleArn: `${BASE}own` }, false],
        [{ defaultRole: "fallback" }, isLegacy],
        [{ pod: { [KEYS.role]: "app" }, roleArn: `${BASE}own` }, isLegacy],
      ] as const) {
        const decision = decide(profile, inputs);
        assert.equal(decision.status === "allowed" && decision.legacy, legacy);
      }
    });

    it(`${profile}: needs no word of a ServiceAccount that may not be read where the pod names a role`, () => {
      const serviceAccount = { unreadBecause: "403" };
      const unavailable = { status: "unavailable", reason: "403" };
      const defaults = { "irsa-anywhere.io/default-audience": "aud" };
      const permitted = { "iam.amazonaws.com/permitted": ".*" };
      const pod = { [KEYS.role]: "app", [KEYS.externalId]: "x" };
      const decision = decide(profile, {
        pod,
        serviceAccount,
        namespace: { ...permitted, ...defaults },
      });
      if (!PROFILE_TRAITS[profile].readsPodAnnotations) {
        assert.deepEqual(decision, unavailable);
        return;
      }
      assert.ok(decision.status === "allowed");
      const { roleArn, audience, serviceAccountUid, externalId, legacy } = decision;
      assert.deepEqual(
        [roleArn, audience, serviceAccountUid, externalId, legacy],
        [`${BASE}app`, "aud", undefined, "x", true],
      );
      const plain = decide(profile, { pod, serviceAccount });
      assert.equal(plain.status === "allowed" && plain.audience, "sts.amazonaws.com");
      const denied = { ...permitted, "irsa-anywhere.io/allowed-roles": "[]" };
      for (const inputs of [{ pod, namespace: denied }, { pod: { [KEYS.role]: "arn:bad" } }]) {
        assert.equal(decide(profile, { ...inputs, serviceAccount }).status, "forbidden");
      }
    });

    it(`${profile}: puts no default in the place of a role that a ServiceAccount may name`, () => {
      const serviceAccount = { unreadBecause: "403" };
      const permitted = { "iam.amazonaws.com/permitted": ".*" };
      const fallback = { ...permitted, "irsa-anywhere.io/default-role": `${BASE}fallback` };
      for (const inputs of [
        {},
        { defaultRole: "fallback" },
        { namespace: fallback },
        { pod: { [KEYS.role]: "" }, defaultRole: "fallback", namespace: fallback },
      ]) {
        assert.deepEqual(decide(profile, { ...inputs, serviceAccount }), {
          status: "unavailable",
          reason: "403",
        });
      }
    });

    it(`${profile}: takes the external id of the pod where it reads pods`, () => {
      const pod = { [KEYS.externalId]: "x" };
      const decision = decide(profile, { pod, roleArn: `${BASE}app` });
      assert.equal(decision.status, "allowed");
      const { readsPodAnnotations } = PROFILE_TRAITS[profile];
      assert.equal(decision.externalId, readsPodAnnotations ? "x" : undefined);
    });

    it(`${profile}: refuses what is no role, and what the namespace does not allow`, () => {
      const isPod = PROFILE_TRAITS[profile].readsPodAnnotations;
      const bad = isPod ? { pod: { [KEYS.role]: "arn:bad" } } : { roleArn: "arn:bad" };
      assert.match(JSON.stringify(decide(profile, bad)), /"forbidden".*arn:bad.* is no role/);
      const namespace = {
        "iam.amazonaws.com/permitted": ".*",
        "irsa-anywhere.io/allowed-roles": "[]",
      };
      const denied = decide(profile, { roleArn: `${BASE}app`, namespace });
      assert.deepEqual(denied, {
        status: "forbidden",
        reason: `role ${BASE}app is not in the namespace's irsa-anywhere.io/allowed-roles`,
      });
    });
  }
});
