import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { startAws, type Aws } from "../test/aws/start-aws.ts";
import { registerCluster } from "../test/aws/fixtures/cluster.ts";
import { startIssuer } from "../test/aws/fixtures/issuer-server.ts";
import { newSigningKey, signToken } from "../test/aws/fixtures/signing-keys.ts";
import { ask, type Reply } from "../test/fakes/ask.ts";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { startNodeApiServer, type NodeApiServer } from "../test/fakes/node-api-server.ts";
import { until } from "../test/fakes/until.ts";
import { shimConfig } from "./config.ts";
import { startShim, type RunningShim } from "./main.ts";

const HOST = "127.0.0.1";
const NODE = "node-1";
const METADATA = { host: "169.254.169.254" };

interface World extends AsyncDisposable {
  readonly shim: RunningShim;
  readonly api: NodeApiServer;
  readonly aws: Aws;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  token(): string;
  agent(authorization: string): Promise<Reply>;
}

async function start(
  flags: readonly string[] = [],
  { log, lines } = createCollectedLog(),
): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "irsa-shim-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const issuer = stack.use(await startIssuer());
  const key = newSigningKey("RS256");
  issuer.publish([key.jwk]);
  const aws = stack.use(await startAws({ trustCaPems: [issuer.authority.cert] }));
  const nowSeconds = Math.floor(Date.now() / 1000);
  const cluster = await registerCluster(aws, { issuer: issuer.url, key, nowSeconds });
  const roleArn = await cluster.createRole("app-role", {}, { Path: "/team/" });
  const api = stack.use(await startNodeApiServer({ issuer: issuer.url, key }));
  api.putServiceAccount("app", { "eks.amazonaws.com/role-arn": roleArn });
  api.putPod({
    name: "host-pod",
    uid: "host-pod-uid",
    serviceAccount: "app",
    nodeName: NODE,
    addresses: ["10.0.0.1"],
    hostNetwork: true,
  });
  const config = shimConfig.parse(
    [
      `--api-server=${api.url}`,
      `--node=${NODE}`,
      `--bind-address=${HOST}`,
      "--app-port=0",
      "--admin-port=0",
      `--state-dir=${folder}`,
      `--kubelet-root=${folder}`,
      "--attestation=false",
      "--container-credentials",
      `--container-credentials-host=${HOST}`,
      "--container-credentials-port=0",
      ...flags,
    ],
    {},
  );
  const env = { AWS_ENDPOINT_URL_STS: aws.sts, AWS_CA_BUNDLE: aws.ca, AWS_REGION: "eu-west-1" };
  const shim = stack.use(await startShim(config, { env, log }));
  await until("container credentials are served", () => shim.agentPorts.size === 1);
  const running = stack.move();
  return {
    shim,
    api,
    aws,
    lines,
    token: () =>
      signToken(
        key,
        { alg: key.algorithm, kid: key.jwk["kid"] },
        {
          iss: issuer.url,
          sub: "system:serviceaccount:ns:app",
          aud: ["pods.eks.amazonaws.com"],
          iat: nowSeconds,
          exp: nowSeconds + 3600,
          "kubernetes.io": {
            namespace: "ns",
            serviceaccount: { name: "app", uid: "app-uid" },
            pod: { name: "host-pod", uid: "host-pod-uid" },
          },
        },
      ),
    agent: (authorization) =>
      ask({
        host: HOST,
        port: shim.agentPorts.get(HOST) ?? 0,
        path: "/v1/credentials",
        headers: { authorization },
      }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

describe("the shim", () => {
  it("gives back the memory of its start, once it knows the pods", async (t) => {
    const collected = createCollectedLog();
    const knewThem: boolean[] = [];
    const gc = (): void => {
      knewThem.push(collected.lines.some(({ msg }) => msg === "Listed objects"));
    };
    const before = globalThis.gc;
    globalThis.gc = gc as unknown as NodeJS.GCFunction;
    t.after(() => {
      globalThis.gc = before;
    });
    await using world = await start([], collected);
    await world.shim.whenReady;
    assert.deepEqual(knewThem, [true]);
  });

  it("gives a pod on the host's network its role by its token, through a real exchange", async () => {
    await using world = await start();
    await world.shim.whenReady;
    const token = world.token();
    const reply = await world.agent(token);
    assert.equal(reply.status, 200, reply.body);
    const { AccessKeyId, SecretAccessKey, AccountId } = JSON.parse(reply.body);
    assert.match(AccessKeyId, /^ASIA/);
    assert.equal(AccountId, "111122223333");
    const [call] = world.aws.calls().slice(-1);
    assert.equal(call?.action, "AssumeRoleWithWebIdentity");
    assert.equal(call?.webIdentity?.subject, "system:serviceaccount:ns:app");

    assert.deepEqual(await world.agent(token), {
      ...reply,
      headers: { ...reply.headers, date: (await world.agent(token)).headers.date },
    });
    const issued = world.lines.filter(({ msg }) => msg === "Issued credentials");
    assert.equal(issued.length, 1);
    assert.equal(issued[0]?.["podUid"], "host-pod-uid");
    assert.equal(issued[0]?.["accessKeyId"], AccessKeyId);
    assert.match(String(issued[0]?.["roleArn"]), /role\/team\/app-role$/);
    const text = JSON.stringify(world.lines);
    assert.ok(!text.includes(SecretAccessKey) && !text.includes(token));
  });

  it("refuses who is no pod of this node, and makes tokens for everybody", async () => {
    await using world = await start();
    await world.shim.whenReady;
    const { port } = world.shim;
    const tokenReply = await ask({
      host: HOST,
      port,
      method: "PUT",
      path: "/latest/api/token",
      headers: { ...METADATA, "x-aws-ec2-metadata-token-ttl-seconds": "60" },
    });
    assert.equal(tokenReply.status, 200);
    const headers = { ...METADATA, "x-aws-ec2-metadata-token": tokenReply.body };
    const region = await ask({
      host: HOST,
      port,
      path: "/latest/meta-data/placement/region",
      headers,
    });
    assert.equal(region.body, "eu-west-1");
    const path = "/latest/meta-data/iam/security-credentials/";
    assert.equal((await ask({ host: HOST, port, path, headers })).status, 404);
  });

  it("shows health, readiness, metrics and what it knows on loopback", async () => {
    await using world = await start();
    await world.shim.whenReady;
    const get = (path: string) => ask({ host: HOST, port: world.shim.adminPort, path });
    assert.equal((await get("/healthz")).status, 200);
    assert.equal((await get("/readyz")).status, 200);
    assert.match((await get("/metrics")).body, /^irsa_shim_known_pods 0$/m);
    assert.deepEqual(JSON.parse((await get("/debug/state")).body), {
      nodeName: NODE,
      synced: true,
      pods: [],
    });
  });

  it("is ready only when the rules are, where it is told how it knows", async () => {
    const folder = await mkdtemp(join(tmpdir(), "irsa-rules-"));
    try {
      const file = join(folder, "ready");
      await using world = await start([`--rules-ready-file=${file}`, "--remove-taint=a/not-ready"]);
      await world.shim.whenReady;
      const ready = () => ask({ host: HOST, port: world.shim.adminPort, path: "/readyz" });
      const { status, body } = await ready();
      assert.deepEqual([status, body], [503, "the rules are not in place\n"]);
      const nodeReads = () => world.api.requests.filter((line) => line.includes("/nodes/"));
      assert.deepEqual(nodeReads(), []);
      await writeFile(file, "ready\n");
      assert.equal((await ready()).status, 200);
      await until("its taints are looked at", () => nodeReads().length > 0);
      assert.equal(nodeReads()[0], `GET /api/v1/nodes/${NODE}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("is unready first when it stops, and follows nothing afterwards", async () => {
    await using world = await start();
    await world.shim.whenReady;
    await world.shim[Symbol.asyncDispose]();
    const messages = world.lines.map(({ msg }) => msg);
    assert.deepEqual(messages.slice(messages.indexOf("Draining")), ["Draining", "Watch ended"]);
    await assert.rejects(ask({ host: HOST, port: world.shim.port, path: "/" }), {
      code: "ECONNREFUSED",
    });
  });

  it("serves kube2iam's health and metrics on the port for pods in that profile", async () => {
    await using world = await start(["--profile=kube2iam", "--host-ip=10.0.0.1"]);
    await world.shim.whenReady;
    const get = (path: string, host: string) =>
      ask({ host: HOST, port: world.shim.port, path, headers: { host } });
    const health = await get("/healthz", "10.0.0.1:8181");
    assert.deepEqual(
      [health.status, health.body],
      [200, '{"hostIP":"10.0.0.1","instanceId":""}\n'],
    );
    assert.match(
      (await get("/metrics", "10.0.0.1:8181")).body,
      /^irsa_shim_request_duration_seconds_count 0$/m,
    );
    assert.equal((await get("/metrics", "169.254.169.254")).status, 404);
  });

  it("serves metrics on the port for pods no more where it is told none", async () => {
    const flags = ["--profile=kube2iam", "--host-ip=10.0.0.1", "--metrics-port=none"];
    await using world = await start(flags);
    await world.shim.whenReady;
    const { port, adminPort, metricsPort } = world.shim;
    const to = { host: HOST, path: "/metrics", headers: { host: "10.0.0.1:8181" } };
    assert.equal((await ask({ ...to, port })).status, 404);
    assert.equal(metricsPort, undefined);
    assert.equal((await ask({ ...to, port: adminPort })).status, 200);
  });
});
