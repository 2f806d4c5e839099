import assert from "node:assert/strict";
import { it } from "node:test";
import type { V1Container, V1PodSpec } from "@kubernetes/client-node";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { createReadyPod, toolsPod } from "../../../kubernetes/running-pod.ts";
import { BOTO3_IMAGE } from "../boto3-image.ts";
import { podOf, said } from "../client-output.ts";
import { createObjects } from "../create-objects.ts";
import { eventually } from "../eventually.ts";
import { runNodeIn } from "../node-in-pod.ts";
import { SHIM_ACCOUNT } from "../shim-agent.ts";
import { client, endingPod, ROLE_NAME, SERVICE_ACCOUNT, stayingClient } from "../workloads.ts";
import { IDENTITIES, type InstalledShim } from "./installed-shim.ts";
import { usesOf } from "./rights.ts";

const URLS = {
  ipv4: "http://169.254.170.23/v1/credentials",
  ipv6: "http://[fd00:ec2::23]/v1/credentials",
} as const;
const TOKEN_FILE = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token";
/** Stays for later, and asks others' questions. */
const STAYING = "v3-ipv4";

interface Asking {
  readonly app: string;
  readonly spec: Partial<V1PodSpec>;
  readonly skip: string | false;
}

/** Pods that the webhook has given a token for the agent on their node, and nothing else. */
export function itGivesContainerCredentials(
  shim: () => InstalledShim,
  skipPython: string | false,
): void {
  const askings = [
    asking(STAYING, { nodeName: "node-0", container: stayingClient("app") }),
    asking("v3-ipv6", { nodeName: "node-1", container: client("app", byIpv6InNode()) }),
    asking("v3-host", { nodeName: "node-1", container: client("app") }, { hostNetwork: true }),
    asking("boto3-ipv4", { nodeName: "node-1", container: client("app", boto3()) }, {}, skipPython),
    asking(
      "boto3-ipv6",
      { nodeName: "node-0", container: client("app", { ...boto3(), args: byIpv6InPython() }) },
      {},
      skipPython,
    ),
  ];

  it("gives container credentials to pods whose only token is for that", async () => {
    const { cluster } = shim();
    await untilPodsAreMarked(cluster);
    const here = askings.filter(({ skip }) => skip === false);
    const pods = here.map(({ app, spec }) => endingPod(app, spec));
    await createObjects(cluster, IDENTITIES, pods);
    for (const { app } of here) {
      const place = { namespace: IDENTITIES, app, container: "app" };
      const arn = await said(cluster, place, /^\{"arn": ?"(.*)"\}$/m);
      assert.match(arn, new RegExp(`:assumed-role/${ROLE_NAME}/${IDENTITIES}\\.${app}`));
      const pod = await podOf(cluster.admin.core, IDENTITIES, app);
      const given = JSON.stringify(pod?.spec);
      assert.match(given, /"audience":"pods\.eks\.amazonaws\.com"/);
      assert.doesNotMatch(given, /AWS_ROLE_ARN|AWS_WEB_IDENTITY|"audience":"sts\./);
    }
  });

  it("exchanges a token of its own making for them, since theirs is not for STS", async () => {
    const { cluster, product } = shim();
    const asked = (await usesOf(cluster, SHIM_ACCOUNT)).filter(
      ({ resource, namespace }) =>
        resource === "/serviceaccounts/token" && namespace === IDENTITIES,
    );
    assert.ok(asked.length > 0);
    assert.deepEqual(new Set(asked.map(({ isAllowed }) => isAllowed)), new Set([true]));
    const subject = `system:serviceaccount:${IDENTITIES}:${SERVICE_ACCOUNT}`;
    const shown = product.aws.calls().flatMap(({ webIdentity }) => webIdentity ?? []);
    const audiences = shown.filter((each) => each.subject === subject);
    assert.deepEqual(
      new Set(audiences.map(({ audience }) => audience)),
      new Set(["sts.amazonaws.com"]),
    );
  });

  it("refuses the token of a pod that is gone to another pod that has it", async () => {
    const { cluster } = shim();
    const leaver = toolsPod("leaver", { nodeName: "node-0", serviceAccountName: SERVICE_ACCOUNT });
    await createReadyPod(cluster.admin.core, IDENTITIES, leaver);
    const where = `-n${IDENTITIES}`;
    const token = await cluster.kubectl("exec", where, "leaver", "--", "cat", TOKEN_FILE);
    for (const url of Object.values(URLS)) {
      // SDKs ask again after 503 too, which is the answer while STS has not given any yet.
      const isGiven = async (): Promise<boolean> =>
        /^200 .*"AccessKeyId"/s.test(await answerTo(cluster, url, token));
      await eventually(`credentials from ${url}`, async () => (await isGiven()) || undefined);
    }
    await cluster.kubectl("delete", "pod", "leaver", where);
    // It may be taken for alive for ten seconds more. Once refused, it is not served again.
    const answers: string[] = [];
    await eventually("the token to be refused", async () => {
      answers.push(await answerTo(cluster, URLS.ipv4, token));
      return answers.at(-1)?.startsWith("400 ") || undefined;
    });
    answers.push(await answerTo(cluster, URLS.ipv6, token));
    for (const answer of answers.slice(-2)) {
      assert.match(answer, /^400 .*InvalidTokenException.*its pod is gone/s);
    }
    const statuses = answers.map((answer) => answer.slice(0, 3));
    const refused = statuses.findIndex((status) => status !== "200");
    assert.ok(!statuses.slice(refused).includes("200"), statuses.join(" "));
  });
}

function asking(
  app: string,
  { nodeName, container }: { readonly nodeName: string; readonly container: V1Container },
  more: Partial<V1PodSpec> = {},
  skip: string | false = false,
): Asking {
  const dns = more.hostNetwork === true ? { dnsPolicy: "ClusterFirstWithHostNet" } : {};
  return { app, spec: { nodeName, containers: [container], ...dns, ...more }, skip };
}

const VARIABLE = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/** The webhook names one address for all pods, that of IPv4 unless it is told otherwise. */
function byIpv6InNode(): Partial<V1Container> {
  const script = `process.env.${VARIABLE} = "${URLS.ipv6}"; await import("/client/sdk-v3.mjs");`;
  return { args: ["--input-type=module", "--eval", script] };
}

function byIpv6InPython(): string[] {
  const change = `os.environ["${VARIABLE}"] = "${URLS.ipv6}"`;
  return ["-c", `import os, runpy; ${change}; runpy.run_path("/client/boto3_client.py")`];
}

function boto3(): Partial<V1Container> {
  return { image: BOTO3_IMAGE };
}

/** What the agent says to a pod that shows a token: status and body. */
async function answerTo(cluster: Cluster, url: string, token: string): Promise<string> {
  const headers = JSON.stringify({ authorization: token });
  const script = `
    const answer = await fetch("${url}", { headers: ${headers} });
    console.log(answer.status, await answer.text());`;
  const where = [`-n${IDENTITIES}`, STAYING];
  return runNodeIn(cluster, where, "--input-type=module", "--eval", script);
}

/** Resolves when a pod would get the token: the webhook has read the file, and covers the namespace. */
async function untilPodsAreMarked({ admin }: Cluster): Promise<void> {
  await eventually("a pod that would get container credentials", async () => {
    const body = endingPod("would-be");
    const pod = await admin.core.createNamespacedPod({
      namespace: IDENTITIES,
      body,
      dryRun: "All",
    });
    return JSON.stringify(pod.spec).includes(VARIABLE) || undefined;
  });
}
