import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { startCluster, type Cluster } from "./cluster.ts";
import { NODE_ACCESS_KEY_ID, NODE_ROLE } from "./nodes/metadata-stand-in.ts";
import { missingNodeParts } from "./nodes/missing-node-parts.ts";
import { createReadyPod, toolsPod } from "./running-pod.ts";

const skip = (await missingNodeParts(process.env)) ?? false;
const AUDIENCE = "sts.amazonaws.com";
const TOKEN_FOLDER = "/var/run/secrets/eks.amazonaws.com/serviceaccount";

describe("a cluster with one node and a bridge", { skip }, () => {
  let cluster: Cluster;
  let pod: { readonly uid: string; readonly ip: string };
  let sysctlsBefore: readonly string[];
  before(async () => {
    sysctlsBefore = await sysctls();
    cluster = await startCluster();
    pod = await createReadyPod(
      cluster.admin.core,
      "default",
      toolsPod("web", {
        containers: [
          {
            name: "tools",
            image: "localhost/tools:test",
            imagePullPolicy: "Never",
            command: [
              "sh",
              "-c",
              "echo started; mkdir /www; echo page >/www/index.html; httpd -f -h /www",
            ],
            readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 1 },
            volumeMounts: [{ name: "token", mountPath: TOKEN_FOLDER, readOnly: true }],
          },
        ],
        volumes: [
          {
            name: "token",
            projected: {
              sources: [
                {
                  serviceAccountToken: {
                    audience: AUDIENCE,
                    expirationSeconds: 600,
                    path: "token",
                  },
                },
              ],
            },
          },
        ],
      }),
    );
  });
  after(() => cluster[Symbol.asyncDispose]());

  const inPod = (...command: readonly string[]): Promise<string> =>
    cluster.kubectl("exec", "web", "--", ...command);

  it("runs a pod: its log is read, and commands are run in it", async () => {
    assert.equal(await cluster.kubectl("logs", "web"), "started\n");
    assert.equal(await inPod("cat", "/www/index.html"), "page\n");
    await assert.rejects(inPod("cat", "/no-such-file"), /can't open '\/no-such-file'/);
  });

  it("resolves a Service's name, and routes its address to the pod itself", async () => {
    await cluster.kubectl("expose", "pod", "web", "--port=80");
    assert.equal(await inPod("wget", "-q", "-O-", "http://web"), "page\n");
    assert.equal(
      await inPod("wget", "-q", "-O-", "http://web.default.svc.cluster.local."),
      "page\n",
    );
    await assert.rejects(
      inPod("nslookup", "no-such-service.default.svc.cluster.local."),
      /NXDOMAIN/,
    );
    await assert.rejects(inPod("nslookup", "sts.amazonaws.com."), /NXDOMAIN/);
  });

  it("is reached by this process at a Service's address, as by a node", async () => {
    const { spec } = await cluster.admin.core.readNamespacedService({
      namespace: "default",
      name: "web",
    });
    const port = await cluster.forward(spec?.clusterIP ?? "", 80);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "page\n");
  });

  it("lets a pod reach the API server", async () => {
    // Plain HTTP, since busybox has none of its TLS ciphers.
    const asked = inPod("wget", "-q", "-O-", "http://kubernetes.default.svc:443/version");
    await assert.rejects(asked, /400 Bad Request/);
  });

  it("projects a token for our audience, and keeps it on the node where kubelet does", async () => {
    const token = await inPod("cat", `${TOKEN_FOLDER}/token`);
    const claims = JSON.parse(
      Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
    ) as Record<string, unknown>;
    assert.deepEqual(claims["aud"], [AUDIENCE]);
    assert.equal(claims["sub"], "system:serviceaccount:default:default");
    const folder = `/var/lib/kubelet/pods/${pod.uid}/volumes/kubernetes.io~projected/token`;
    assert.equal(await cluster.nodes[0].run("cat", `${folder}/token`), token);
  });

  it("hands the node's role to a pod that asks the metadata service, in both versions", async () => {
    const base = "http://169.254.169.254/latest";
    const path = `meta-data/iam/security-credentials/${NODE_ROLE}`;
    const answer = JSON.parse(await inPod("wget", "-q", "-O-", `${base}/${path}`)) as object;
    assert.ok("AccessKeyId" in answer && answer.AccessKeyId === NODE_ACCESS_KEY_ID);
    assert.deepEqual(cluster.metadataCalls().at(-1), {
      from: pod.ip,
      method: "GET",
      path: `/latest/${path}`,
      status: 200,
    });

    // Version 2 over a bare connection: busybox's wget knows no PUT.
    const put =
      "PUT /latest/api/token HTTP/1.0\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n\\r\\n";
    const asked = await inPod("sh", "-c", `printf '${put}' | nc 169.254.169.254 80`);
    const token = /\r\n\r\n(.+)$/.exec(asked)?.[1] ?? "";
    const header = `--header=X-aws-ec2-metadata-token: ${token}`;
    assert.equal(
      await inPod("wget", "-q", "-O-", header, `${base}/meta-data/iam/security-credentials/`),
      NODE_ROLE,
    );
    const wrong = `${header}x`;
    await assert.rejects(inPod("wget", "-q", "-O-", wrong, `${base}/${path}`), /401 Unauthorized/);
  });

  it("reaches a server of this machine only when it is published", async () => {
    const server = createServer((socket) => socket.end("from outside\n"));
    server.listen({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    try {
      const { port } = server.address() as AddressInfo;
      await cluster.publish("sts.example.test", 443, port);
      assert.equal(await inPod("nc", "sts.example.test", "443"), "from outside\n");
      await assert.rejects(cluster.publish("sts.example.test", 443, port), /EADDRINUSE/);
    } finally {
      server.close();
    }
  });

  it("has no way out of its networks", async () => {
    const [node] = cluster.nodes;
    // For documentation (RFC 5737), so that a way out would be harmless.
    await assert.rejects(inPod("nc", "-w", "2", "198.51.100.1", "80"), /unreachable/);
    await assert.rejects(node.run("busybox", "nc", "-w", "2", "198.51.100.1", "80"), /unreachable/);
    const links = await node.run("ip", "-o", "link");
    assert.match(links, / eth0@/);
    const routes = await node.run("ip", "-4", "route", "show", "default");
    assert.match(routes, /^default via 10\.10\.0\.1 dev eth0 *\n$/);
  });

  it("changes nothing of what the kernel has only once", async () => {
    assert.deepEqual(await sysctls(), sysctlsBefore);
  });
});

/** What kubelet and kube-proxy would set on a machine of their own. */
async function sysctls(): Promise<readonly string[]> {
  const names = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
  ];
  return Promise.all(names.map((name) => readFile(`/proc/sys/${name}`, "utf8")));
}
