import assert from "node:assert/strict";
import { PROFILE_TRAITS } from "../../../metadata-shim/role/profile.ts";
import { credentialsIn, ISO_TIME } from "../replies.ts";
import { ROLE_LIST } from "../shim-world.ts";
import { compatibilityRowsInto, type CompatibilityRow } from "./compatibility-row.ts";
import { BASE, OTHER_BASE, said } from "./profile-stage.ts";

/** Which role a pod is shown, and by which names it gets its credentials. */
export const roleRows: CompatibilityRow[] = [];
const row = compatibilityRowsInto(roleRows);

const OWN = "200 111122223333/app-role";
const NO_ROLE = {
  strict: "404 This pod has no role",
  kube2iam: "404 unable to find role for IP ADDRESS⏎",
  kiam: "404 empty role⏎",
};

row("C01", "the list with a slash", "200 app-role text/plain EC2ws", async (stage) => {
  const pod = stage.pod({ role: "app-role" });
  const reply = await stage.read(pod, `${ROLE_LIST}/`);
  const { headers } = reply;
  return [said(reply, pod), headers["content-type"], headers["server"]].join(" ");
});
row("C02", "the list without a slash", "200 app-role", async (stage) => {
  const pod = stage.pod({ role: "app-role" });
  return said(await stage.read(pod, ROLE_LIST), pod);
});
row(
  "C03",
  "the credentials of the role",
  "200 Code LastUpdated Type AccessKeyId SecretAccessKey Token Expiration",
  async (stage) => {
    const pod = stage.pod({ role: "app-role" });
    const reply = await stage.read(pod, `${ROLE_LIST}/app-role`);
    const document = credentialsIn(reply);
    assert.match(document.Expiration, ISO_TIME);
    assert.match(document["LastUpdated"] ?? "", ISO_TIME);
    assert.equal(await stage.get(pod, "app-role"), OWN);
    return `${reply.status} ${Object.keys(document).join(" ")}`;
  },
);
row("C04", "the same with a slash at the end", OWN, async (stage) =>
  stage.get(stage.pod({ role: "app-role" }), "app-role/"),
);
row("C05", "the same by the whole ARN", OWN, async (stage) =>
  stage.get(stage.pod({ role: "app-role" }), `${BASE}app-role`),
);
row(
  "C06",
  "another role",
  {
    strict: "404 This is not the role of this pod",
    kube2iam: "403 Invalid role x⏎",
    kiam: "403 error fetching credentials: forbidden by policy⏎",
  },
  async (stage) => stage.get(stage.pod({ role: "app-role" }), "x"),
);
row("C07", "no role, with a base ARN and without", NO_ROLE, async (stage) => {
  const pod = stage.pod();
  const port = await stage.shim(["--base-role-arn="]);
  const [withBase, without] = [await stage.list(pod), await stage.list(pod, { port })];
  assert.equal(without, withBase);
  return withBase;
});
row(
  "C08",
  "the default role, for pods without one and for nobody else",
  {
    strict: "200 default-role, 200 111122223333/default-role, 200 app-role, 404",
    kube2iam: "200 default-role, 200 111122223333/default-role, 200 app-role, 404",
    kiam: "200 default-role, 200 111122223333/default-role, 200 app-role, 500",
  },
  async (stage) => {
    const port = await stage.shim(["--default-role=default-role"]);
    const pod = stage.pod();
    const nobody = await stage.list({ address: stage.newAddress() }, { port });
    return [
      await stage.list(pod, { port }),
      await stage.get(pod, "default-role", { port }),
      await stage.list(stage.pod({ role: "app-role" }), { port }),
      nobody.split(" ", 1)[0],
    ].join(", ");
  },
);
row(
  "C09",
  "a role with a path, and one of another account, by both of their names",
  {
    strict: `200 path-role, 2 times 200 111122223333/path-role, 200 other-role, 2 times 200 444455556666/other-role`,
    kube2iam: `200 team/path-role, 2 times 200 111122223333/path-role, 200 ${OTHER_BASE}other-role, 200 444455556666/other-role`,
    kiam: `200 team/path-role, 2 times 200 111122223333/path-role, 200 ${OTHER_BASE}other-role, 200 444455556666/other-role`,
  },
  async (stage) => {
    const seen: string[] = [];
    for (const arn of [`${BASE}team/path-role`, `${OTHER_BASE}other-role`]) {
      const pod = stage.pod({ role: arn.replace(BASE, "") });
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const listed = await stage.list(pod);
      const names = [...new Set([listed.slice("200 ".length), arn])];
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const got = await Promise.all(names.map((name) => stage.get(pod, name)));
      assert.equal(new Set(got).size, 1, got.join(", "));
      seen.push(listed, `${got.length > 1 ? `${got.length} times ` : ""}${got[0]}`);
    }
    return seen.join(", ");
  },
);
row("C10", "a name with a slash in front", `200 app-role, ${OWN}`, async (stage) => {
  if (PROFILE_TRAITS[stage.profile].readsPodAnnotations) {
    const pod = stage.pod({ role: "/app-role" });
    return `${await stage.list(pod)}, ${await stage.get(pod, "app-role")}`;
  }
  // Names that are no ARNs come from the operator alone here.
  const port = await stage.shim(["--default-role=/app-role"]);
  const pod = stage.pod();
  return `${await stage.list(pod, { port })}, ${await stage.get(pod, "app-role", { port })}`;
});
