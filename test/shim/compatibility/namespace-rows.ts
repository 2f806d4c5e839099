import assert from "node:assert/strict";
import { compatibilityRowsInto, type CompatibilityRow } from "./compatibility-row.ts";
import { ruleFlagsFor } from "./namespace-case-rows.ts";
import {
  ALLOWED_ROLES,
  BASE,
  OWN_ALLOWED_ROLES,
  PERMITTED,
  type ProfileStage,
} from "./profile-stage.ts";

/** What namespaces let their pods have. */
export const namespaceRows: CompatibilityRow[] = [];
const row = compatibilityRowsInto(namespaceRows);

/** A pod with a role in a namespace that allows something, as its profile has that written. */
async function listWhere(
  stage: ProfileStage,
  role: string,
  { allowed, flags = [] }: { readonly allowed: string; readonly flags?: readonly string[] },
): Promise<string> {
  const annotations = {
    strict: { [OWN_ALLOWED_ROLES]: JSON.stringify([BASE + allowed]) },
    kube2iam: { [ALLOWED_ROLES]: JSON.stringify([allowed]) },
    kiam: { [PERMITTED]: allowed === "" ? "" : BASE + allowed },
  }[stage.profile];
  const port = await stage.shim([...ruleFlagsFor(stage.profile, "expressions"), ...flags]);
  const answer = await stage.list(stage.pod({ role, namespaceAnnotations: annotations }), { port });
  return answer.slice(0, "200 ".length) + (answer.startsWith("200") ? role : "denied");
}

const DENIED_IN = { strict: "403 denied", kube2iam: "404 denied", kiam: "403 denied" };
row(
  "C21",
  "a name that is the start of the role's; the flag that brings kube2iam's way back",
  {
    strict: "403 denied",
    kube2iam: "404 denied, 200 one-role-admin with --insecure-unanchored-namespace-regexp",
    kiam: "403 denied, 200 one-role-admin with --disable-strict-namespace-regexp",
  },
  async (stage) => {
    const denied = await listWhere(stage, "one-role-admin", { allowed: "one-role" });
    if (stage.profile === "strict") return denied;
    const flag = {
      kube2iam: "--insecure-unanchored-namespace-regexp",
      kiam: "--disable-strict-namespace-regexp",
    }[stage.profile];
    const opened = { allowed: "one-role", flags: [flag] };
    return `${denied}, ${await listWhere(stage, "one-role-admin", opened)} with ${flag}`;
  },
);
row("C22", "an empty expression", DENIED_IN, async (stage) =>
  listWhere(stage, "one-role", { allowed: "" }),
);
row(
  "C23",
  "alternatives, of which one is the start of the role's name; globs have none",
  DENIED_IN,
  async (stage) => listWhere(stage, "one-role-admin", { allowed: "one-role|nothing" }),
);
row(
  "C24",
  "a namespace that denies: list, credentials, Event",
  {
    strict: "403, 403, Forbidden",
    kube2iam: "404, 404, Forbidden",
    kiam: "403, 403, Forbidden",
  },
  async (stage) => {
    const port = await stage.shim(ruleFlagsFor(stage.profile, "globs"));
    const nothing = { [OWN_ALLOWED_ROLES]: "[]", [ALLOWED_ROLES]: "[]", [PERMITTED]: "nothing" };
    const pod = stage.pod({ role: "one-role", namespaceAnnotations: nothing });
    const answers = [
      await stage.list(pod, { port }),
      await stage.get(pod, "one-role", { port }),
    ].map((answer) => answer.split(" ", 1)[0]);
    assert.equal(stage.world.exchangesOf(pod.name, pod.namespace), 0);
    return [...answers, await stage.events(pod, 1)].join(", ");
  },
);
row(
  "C40",
  "a role that is none: refused, with an Event, and others are served on",
  {
    strict: "403, Forbidden, 200 app-role",
    kube2iam: "404, Forbidden, 200 app-role",
    kiam: "403, Forbidden, 200 app-role",
  },
  async (stage) => {
    const pod = stage.pod({ role: "arn:bad" });
    const [status = ""] = (await stage.list(pod)).split(" ", 1);
    const other = await stage.list(stage.pod({ role: "app-role" }));
    return `${status}, ${await stage.events(pod, 1)}, ${other}`;
  },
);
row(
  "C41",
  "an annotation of the namespace that cannot be read",
  {
    strict: "403, Forbidden",
    kube2iam: "404, Forbidden",
    kiam: "403, Forbidden",
  },
  async (stage) => {
    const port = await stage.shim(ruleFlagsFor(stage.profile, "globs"));
    const malformed = {
      strict: { [OWN_ALLOWED_ROLES]: "[one-role" },
      kube2iam: { [ALLOWED_ROLES]: "[one-role" },
      kiam: { [PERMITTED]: ".*(one-role" },
    }[stage.profile];
    const pod = stage.pod({ role: "one-role", namespaceAnnotations: malformed });
    const [status = ""] = (await stage.list(pod, { port })).split(" ", 1);
    return `${status}, ${await stage.events(pod, 1)}`;
  },
);
