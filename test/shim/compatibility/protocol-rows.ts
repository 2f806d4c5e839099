import { credentialsIn, factsIn, TOKEN, TOKEN_PATH, TTL } from "../replies.ts";
import { ROLE_LIST } from "../shim-world.ts";
import { compatibilityRowsInto, type CompatibilityRow } from "./compatibility-row.ts";
import type { ProfileStage, StagePod } from "./profile-stage.ts";

/** What is served at all, to which requests. */
export const protocolRows: CompatibilityRow[] = [];
const row = compatibilityRowsInto(protocolRows);

async function statusesOf(
  stage: ProfileStage,
  pod: StagePod,
  paths: readonly string[],
): Promise<string> {
  const replies = await Promise.all(paths.map((path) => stage.read(pod, path)));
  return replies.map(({ status }) => status).join(" ");
}

row(
  "C32",
  "an own session token, garbage for one, none, and none where one is required",
  { strict: "200 401 401 401", kube2iam: "200 401 200 401", kiam: "200 401 200 401" },
  async (stage) => {
    const { address: from } = stage.pod({ role: "app-role" });
    const { world } = stage;
    const port = await stage.shim(["--http-tokens=required"]);
    const path = `${ROLE_LIST}/`;
    const replies = [
      await world.ask({ from, path, headers: await world.token(from) }),
      await world.ask({ from, path, headers: { [TOKEN]: "garbage" } }),
      await world.ask({ from, path }),
      await world.ask({ from, path, port }),
    ];
    return replies.map(({ status }) => status).join(" ");
  },
);
row("C33", "a session token by X-Forwarded-For", "403", async (stage) => {
  const { address: from } = stage.pod({ role: "app-role" });
  const headers = { [TTL]: "60", "x-forwarded-for": "10.1.0.1" };
  const asking = { from, method: "PUT", path: TOKEN_PATH, headers };
  return String((await stage.world.ask(asking)).status);
});
row(
  "C34",
  "user-data, identity-credentials, signatures; iam/info and the identity document",
  "404 404 404, 200 arn:aws:iam::111122223333:instance-profile/app-role, 200 eu-west-1",
  async (stage) => {
    const pod = stage.pod({ role: "app-role" });
    const never = await statusesOf(stage, pod, [
      "/latest/user-data",
      "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
      "/latest/dynamic/instance-identity/pkcs7",
    ]);
    const info = factsIn(await stage.read(pod, "/latest/meta-data/iam/info"));
    const document = factsIn(await stage.read(pod, "/latest/dynamic/instance-identity/document"));
    return `${never}, 200 ${info["InstanceProfileArn"]}, 200 ${document["region"]}`;
  },
);
row(
  "C35",
  "doubled slashes; dots, %2f, ;x and other cases of the path",
  "200 200, 404 404 404 404 404",
  async (stage) => {
    const pod = stage.pod({ role: "app-role" });
    const good = await statusesOf(stage, pod, [
      `/${ROLE_LIST}/app-role`,
      "//latest//meta-data/iam//security-credentials//",
    ]);
    const bad = await statusesOf(stage, pod, [
      "/latest/meta-data/x/../iam/security-credentials/",
      "/latest/meta-data/iam%2fsecurity-credentials/",
      `${ROLE_LIST};x/app-role`,
      `${ROLE_LIST}/app-role;x/..`,
      "/latest/meta-data/IAM/Security-Credentials/",
    ]);
    return `${good}, ${bad}`;
  },
);
row(
  "C36",
  "another pod's address in X-Forwarded-For",
  { strict: "403", kube2iam: "200 its own", kiam: "200 its own" },
  async (stage) => {
    const [pod, other] = [stage.pod({ role: "app-role" }), stage.pod({ role: "app-role" })];
    const path = `${ROLE_LIST}/app-role`;
    const own = credentialsIn(await stage.read(pod, path));
    const token = await stage.world.token(pod.address);
    const headers = { ...token, "x-forwarded-for": other.address };
    const reply = await stage.world.ask({ from: pod.address, path, headers });
    if (reply.status !== 200) return String(reply.status);
    return credentialsIn(reply).AccessKeyId === own.AccessKeyId ? "200 its own" : "200 another's";
  },
);
row("C38", "POST, PUT and DELETE of credentials", "405 405 405", async (stage) => {
  const { address: from } = stage.pod({ role: "app-role" });
  const headers = await stage.world.token(from);
  const replies = await Promise.all(
    ["POST", "PUT", "DELETE"].map((method) =>
      stage.world.ask({ from, method, path: `${ROLE_LIST}/app-role`, headers }),
    ),
  );
  return replies.map(({ status }) => status).join(" ");
});
