import assert from "node:assert/strict";
import { it } from "node:test";
import { METADATA_ADDRESS_6 } from "../../../kubernetes/nodes/addresses.ts";
import { TEAM } from "../installation.ts";
import { runNodeIn } from "../node-in-pod.ts";
import { SERVICE_ACCOUNT } from "../workloads.ts";
import { CREDENTIALS_PATH, type InstalledShim } from "./installed-shim.ts";
import { BY_IPV6 } from "./repeating-sdks.ts";
import { NODES } from "./watchers.ts";

/** Prints what is answered, each on a line: session token, list, credentials; and who answered. */
const STEPS_BY_IPV6 = `
  const http = process.getBuiltinModule("node:http");
  const ask = (path, headers, method = "GET") => new Promise((resolve, reject) => {
    const asked = { host: "${METADATA_ADDRESS_6}", path, method, headers, timeout: 5000 };
    http.request(asked, (response) => {
      const remote = response.socket.remoteAddress;
      let body = "";
      response.on("data", (chunk) => { body += chunk; });
      response.on("end", () => {
        console.log(response.statusCode, body.replaceAll("\\n", ""));
        resolve({ body, remote });
      });
    }).on("error", reject).end();
  });
  const ttl = { "x-aws-ec2-metadata-token-ttl-seconds": "60" };
  const { body } = await ask("/latest/api/token", ttl, "PUT");
  const session = { "x-aws-ec2-metadata-token": body };
  const list = await ask("${CREDENTIALS_PATH}", session);
  const { remote } = await ask("${CREDENTIALS_PATH}" + list.body, session);
  console.log(remote);`;

/** What a pod is answered at the metadata service's other address. */
export function itSpeaksIpv6(shim: () => InstalledShim): void {
  it("gives a pod its own role by IPv6, in each of the steps of an SDK", async () => {
    const { cluster, product, roleArn } = shim();
    for (const nodeName of NODES) {
      const app = `${BY_IPV6}-${nodeName}`;
      const output = await runNodeIn(
        cluster,
        [`-n${TEAM}`, app],
        "--input-type=module",
        "--eval",
        STEPS_BY_IPV6,
      );
      const [token = "", role, credentials = "", remote] = output.trim().split("\n");
      assert.match(token, /^200 \S{20,}$/);
      assert.deepEqual([role, remote], [`200 ${roleArn}`, METADATA_ADDRESS_6]);
      const keyId = /"AccessKeyId" ?: ?"(ASIA[A-Z0-9]+)"/.exec(credentials)?.[1];
      const subjects = product.aws
        .calls()
        .filter(({ issuedKeyId }) => issuedKeyId !== undefined && issuedKeyId === keyId)
        .map(({ webIdentity }) => webIdentity?.subject);
      assert.deepEqual(subjects, [`system:serviceaccount:${TEAM}:${SERVICE_ACCOUNT}`]);
    }
  });
}
