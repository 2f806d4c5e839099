import assert from "node:assert/strict";
import { it } from "node:test";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { METADATA_ADDRESS_6 } from "../../../kubernetes/nodes/addresses.ts";
import { TOOLS_IMAGE } from "../../../kubernetes/nodes/busybox-images.ts";
import { createReadyPod, toolsPod } from "../../../kubernetes/running-pod.ts";
import { BOTO3_IMAGE } from "../boto3-image.ts";
import { podOf, said } from "../client-output.ts";
import { createObjects } from "../create-objects.ts";
import { eventually } from "../eventually.ts";
import { TEAM } from "../installation.ts";
import { SHIM_NAMESPACE, shimMetric, shimPods } from "../shim-agent.ts";
import * as workloads from "../workloads.ts";
import { CREDENTIALS_PATH, METRICS_PORT, type InstalledShim } from "./installed-shim.ts";
import { BY_IPV6 } from "./repeating-sdks.ts";
import { WATCHED } from "./watchers.ts";

/** What a pod gets that shows the address of another one. On a bridge it can. */
export function itKnowsForeignAddresses(
  shim: () => InstalledShim,
  skipPython: string | false,
): void {
  it(
    "gives nothing to a pod that takes another's address on a bridge",
    { skip: skipPython },
    async (t) => {
      const { cluster } = shim();
      const [node] = cluster.nodes;
      const metric = { node, port: METRICS_PORT, name: "irsa_shim_foreign_connections_total" };
      const counted = await shimMetric(cluster, metric);
      // NET_RAW is what containers have unless somebody drops it.
      const answer = await askAs(cluster, await addressOf(cluster, "v3-node-0"), "thief");
      assert.match(answer, /^HTTP\/1\.1 404 /);
      assert.doesNotMatch(answer, new RegExp(`^${workloads.ROLE_NAME}$`, "m"));
      const foreign = (await shimMetric(cluster, metric)) - counted;
      assert.ok(foreign > 0);
      t.diagnostic(
        `attestation: ${foreign} connections were not those of the pod whose address they had`,
      );
      const [pod] = await shimPods(cluster);
      const where = [`-n${SHIM_NAMESPACE}`, "--container=shim"];
      const log = await cluster.kubectl("logs", pod?.metadata?.name ?? "", ...where);
      assert.match(log, /"pod":"v3-node-0".*"A connection only shows the address of a pod"/);
    },
  );

  it("needs not fear pods without NET_ADMIN that give themselves an address", async () => {
    const { cluster } = shim();
    const address = await addressOf(cluster, "v3-node-0");
    await createReadyPod(cluster.admin.core, TEAM, toolsPod("plain", { nodeName: "node-0" }));
    const add = ["ip", "address", "add", `${address}/32`, "dev", "eth0"];
    const asked = cluster.kubectl("exec", `-n${TEAM}`, "plain", "--", ...add);
    await assert.rejects(asked, /Operation not permitted/);
  });

  it("gives nothing to a pod with NET_ADMIN that has given itself another's address", async () => {
    const { cluster } = shim();
    const [node] = cluster.nodes;
    const address = await addressOf(cluster, "v3-node-0");
    const metric = { node, port: METRICS_PORT, name: "irsa_shim_foreign_connections_total" };
    const counted = await shimMetric(cluster, metric);
    const inPod = await startMighty(cluster, "mighty");
    await inPod("ip", "address", "add", `${address}/32`, "dev", "eth0");
    await inPod("ip", "route", "add", "169.254.169.254", "via", "10.244.0.1", "src", address);
    // The gateway notes where the address is from whoever asks for its own.
    const claim = `arping -c 1 -s ${address} -I eth0 10.244.0.1 >/dev/null`;
    const ask = `timeout 10 wget -q -O - http://169.254.169.254${CREDENTIALS_PATH} 2>&1`;
    const answers = await eventually("a connection that is not the pod's", async () => {
      const answer = await inPod("sh", "-c", `${claim}; ${ask}; true`);
      const isSeen = (await shimMetric(cluster, metric)) > counted;
      return isSeen ? answer : undefined;
    });
    assert.match(answers, /404 Not Found/);
    await cluster.kubectl("delete", "pod", "mighty", `-n${TEAM}`);
  });

  it("gives nothing to such a pod by IPv6, when the node takes it for the other", async () => {
    const { cluster } = shim();
    const [node] = cluster.nodes;
    const address = await addressOf(cluster, `${BY_IPV6}-node-0`, 1);
    const metric = { node, port: METRICS_PORT, name: "irsa_shim_foreign_connections_total" };
    const inPod = await startMighty(cluster, "mighty-ipv6");
    await inPod("ip", "address", "add", `${address}/128`, "dev", "eth0");
    await inPod(
      "ip",
      "-6",
      "route",
      "add",
      METADATA_ADDRESS_6,
      "via",
      "fd10:244::1",
      "src",
      address,
    );
    const link = (await inPod("cat", "/sys/class/net/eth0/address")).trim();
    const neighbour = [address, "dev", "cni0"];
    await node.run(
      "ip",
      "-6",
      "neigh",
      "replace",
      ...neighbour,
      "lladdr",
      link,
      "nud",
      "permanent",
    );
    const counted = await shimMetric(cluster, metric);
    const ask = `timeout 10 wget -q -O - 'http://[${METADATA_ADDRESS_6}]${CREDENTIALS_PATH}' 2>&1; true`;
    assert.match(await inPod("sh", "-c", ask), /404 Not Found/);
    assert.ok((await shimMetric(cluster, metric)) > counted);
    await node.run("ip", "-6", "neigh", "del", ...neighbour);
    await cluster.kubectl("delete", "pod", "mighty-ipv6", `-n${TEAM}`);
  });
}

/** @param index 0 for the first of its addresses, of IPv4; 1 for that of IPv6. */
async function addressOf(cluster: Cluster, app: string, index: 0 | 1 = 0): Promise<string> {
  const pod = await podOf(cluster.admin.core, TEAM, app);
  return pod?.status?.podIPs?.[index]?.ip ?? assert.fail(`The pod ${app} has no such address`);
}

/** Starts a pod on the bridge that may change its network. @returns what runs a command in it. */
async function startMighty(
  cluster: Cluster,
  name: string,
): Promise<(...command: readonly string[]) => Promise<string>> {
  const securityContext = { capabilities: { add: ["NET_ADMIN"] } };
  const container = { name: "tools", image: TOOLS_IMAGE, securityContext };
  await createReadyPod(
    cluster.admin.core,
    TEAM,
    toolsPod(name, {
      nodeName: "node-0",
      containers: [{ ...container, imagePullPolicy: "Never" }],
    }),
  );
  return (...command) => cluster.kubectl("exec", `-n${TEAM}`, name, "--", ...command);
}

/** What a pod on the bridge is answered that shows the address of another one. */
async function askAs(cluster: Cluster, address: string, name: string): Promise<string> {
  const args = ["/client/take_address.py", address, "10.244.0.1", CREDENTIALS_PATH];
  const container = workloads.client("app", { args, image: BOTO3_IMAGE });
  await createObjects(cluster, WATCHED, [
    workloads.endingPod(name, {
      nodeName: "node-0",
      containers: [container],
    }),
  ]);
  const place = { namespace: WATCHED, app: name, container: "app" };
  return said(cluster, place, /^(?:HTTP|Nobody|The gateway|Traceback)[^]*/m);
}
