import assert from "node:assert/strict";
import { it } from "node:test";
import { z } from "zod";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { createReadyPod } from "../../../kubernetes/running-pod.ts";
import { TEAM } from "../installation.ts";
import { runNodeIn } from "../node-in-pod.ts";
import { client, podSpec, ROLE_NAME, SERVICE_ACCOUNT } from "../workloads.ts";
import { CREDENTIALS_PATH, ROLE_KEY } from "./installed-shim.ts";
import type { StrictShim } from "./strict-shim.ts";

const SESSION_HEADER = "x-aws-ec2-metadata-token";
/** What the pods' annotation asks for. */
const OTHER_ROLE = "other";

/** What pods get whose annotation asks for another role than their ServiceAccount's. */
export function itIsStrict(shim: () => StrictShim): void {
  it("leads pods to itself by IPv4, and closes IPv6 where the node has none", async () => {
    const [node] = shim().product.cluster.nodes;
    const dnat = `-A IRSA-METADATA -p tcp -j DNAT --to-destination ${node.address}:8181`;
    assert.ok((await node.run("iptables-save")).split("\n").includes(dnat));
    const rules = await node.run("ip6tables-save");
    assert.match(rules, /^-A FORWARD -d fd00:ec2::254\/128 -j IRSA-METADATA$/m);
    assert.match(rules, /^-A IRSA-METADATA -j REJECT/m);
    assert.doesNotMatch(rules, /IRSA.*DNAT/);
  });

  it("gives the ServiceAccount's role for a session token alone, whatever the pod says", async () => {
    const { product } = shim();
    const { cluster } = product;
    await startAsker(cluster, "annotated", SERVICE_ACCOUNT);
    const put = await ask(cluster, "annotated", "/latest/api/token", { method: "PUT" });
    assert.equal(put.status, 200);
    const session = { headers: { [SESSION_HEADER]: put.body } };
    const path = `${CREDENTIALS_PATH}${ROLE_NAME}`;
    for (const [what, without] of [
      ["list", await ask(cluster, "annotated", CREDENTIALS_PATH)],
      ["credentials", await ask(cluster, "annotated", path)],
    ] as const) {
      assert.equal(without.status, 401, what);
      assert.doesNotMatch(without.body, /ASIA/);
    }
    const list = await ask(cluster, "annotated", CREDENTIALS_PATH, session);
    assert.deepEqual(list, { status: 200, body: ROLE_NAME });
    const given = await ask(cluster, "annotated", path, session);
    assert.equal(given.status, 200);
    const keyId = /"AccessKeyId" ?: ?"(ASIA[A-Z0-9]+)"/.exec(given.body)?.[1] ?? "no key";
    const issued = product.aws.calls().filter(({ issuedKeyId }) => issuedKeyId === keyId);
    assert.deepEqual(
      issued.map(({ webIdentity }) => webIdentity?.subject),
      [`system:serviceaccount:${TEAM}:${SERVICE_ACCOUNT}`],
    );
    const other = await ask(cluster, "annotated", `${CREDENTIALS_PATH}${OTHER_ROLE}`, session);
    assert.equal(other.status, 404);
    await cluster.kubectl("delete", "pod", "annotated", `-n${TEAM}`);
  });

  it("gives nothing to a pod whose ServiceAccount has no role", async () => {
    const { cluster } = shim().product;
    await startAsker(cluster, "roleless", "default");
    const put = await ask(cluster, "roleless", "/latest/api/token", { method: "PUT" });
    const session = { headers: { [SESSION_HEADER]: put.body } };
    for (const path of [CREDENTIALS_PATH, `${CREDENTIALS_PATH}${OTHER_ROLE}`]) {
      assert.equal((await ask(cluster, "roleless", path, session)).status, 404, path);
    }
    await cluster.kubectl("delete", "pod", "roleless", `-n${TEAM}`);
  });
}

/** A pod that waits to be told what to ask, with an annotation as kube2iam had it. */
async function startAsker(
  cluster: Cluster,
  name: string,
  serviceAccountName: string,
): Promise<void> {
  const container = client("app", { args: ["--eval", "setInterval(() => {}, 60_000)"] });
  const spec = { ...podSpec({}), serviceAccountName, containers: [container] };
  const metadata = { name, annotations: { [ROLE_KEY]: OTHER_ROLE } };
  await createReadyPod(cluster.admin.core, TEAM, { metadata, spec });
}

type Answer = z.infer<typeof Answer>;
const Answer = z.object({ status: z.number(), body: z.string() });

/** What the pod is answered at the metadata service's address. */
async function ask(
  cluster: Cluster,
  pod: string,
  path: string,
  { method = "GET", headers = {} }: { method?: string; headers?: object } = {},
): Promise<Answer> {
  const all = { "x-aws-ec2-metadata-token-ttl-seconds": "60", ...headers };
  const script = `
    const asked = ${JSON.stringify({ method, headers: method === "PUT" ? all : headers })};
    const answer = await fetch("http://169.254.169.254${path}", asked);
    console.log(JSON.stringify({ status: answer.status, body: await answer.text() }));`;
  const where = [`-n${TEAM}`, pod];
  const output = await runNodeIn(cluster, where, "--input-type=module", "--eval", script);
  return Answer.parse(JSON.parse(output));
}
