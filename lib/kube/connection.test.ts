import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { CoreV1Api } from "@kubernetes/client-node";
import { stringify } from "yaml";
import { createAuthority, issueServingCertificate } from "../certificates.ts";
import { listen, type RunningServer } from "../http.ts";
import { connect, type KubeConnection } from "./connection.ts";

const now = Date.now();
const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 };
const authority = await createAuthority("cluster authority", validity);
const keyPair = await issueServingCertificate(
  authority,
  ["kubernetes.default.svc", "127.0.0.1"],
  validity,
);
const named = await issueServingCertificate(authority, ["kubernetes.default.svc"], validity);

describe("connect", () => {
  it("uses a kubeconfig: its CA, its token, and a path in the server's URL", async (t) => {
    const folder = await temporaryFolder(t);
    const seen: IncomingMessage[] = [];
    await using server = await serve((req, res) => {
      seen.push(req);
      res.setHeader("content-type", "application/json").end('{"kind":"Status"}');
    });
    const kubeconfig = join(folder, "kubeconfig");
    await writeFile(
      kubeconfig,
      kubeconfigText({ server: `${url(server)}/k8s/c-1`, user: { token: "s3cret" } }),
    );
    const connection = connect({ kubeconfig });
    const answer = await connection.request({ path: "/api?limit=1", timeoutMs: 5000 });
    assert.deepEqual([answer.status, answer.body], [200, { kind: "Status" }]);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(seen[0]?.url, "/k8s/c-1/api?limit=1");
    assert.equal(seen[0]?.headers.authorization, "Bearer s3cret");
    assert.equal(seen[0]?.headers.accept, "application/json");

    await connection.config.makeApiClient(CoreV1Api).getAPIResources();
    assert.equal(seen[1]?.headers.authorization, "Bearer s3cret");
  });

  it("replaces the server of a kubeconfig by the API URL, and drops its TLS name", async (t) => {
    const folder = await temporaryFolder(t);
    await using server = await serve((_req, res) => res.end("ok"));
    const kubeconfig = join(folder, "kubeconfig");
    const cluster = { "tls-server-name": "elsewhere.example" };
    await writeFile(kubeconfig, kubeconfigText({ server: "https://127.0.0.1:1", cluster }));
    const connection = connect({ kubeconfig, kubeApi: url(server) });
    assert.equal((await connection.request({ path: "/", timeoutMs: 5000 })).body, "ok");
  });

  it("goes to a plain API URL without credentials", async () => {
    let authorization: string | undefined = "none seen";
    await using server = await listen(
      (req, res) => {
        ({ authorization } = req.headers);
        res.end("ok");
      },
      { port: 0, host: "127.0.0.1", drainMs: 100 },
    );
    const connection = connect({ kubeApi: `http://127.0.0.1:${server.port}` });
    assert.equal((await connection.request({ path: "/", timeoutMs: 5000 })).status, 200);
    assert.equal(authorization, undefined);
  });

  it("goes to an API URL with a token when one is given", async () => {
    let authorization: string | undefined;
    await using server = await listen(
      (req, res) => {
        ({ authorization } = req.headers);
        res.end("ok");
      },
      { port: 0, host: "127.0.0.1", drainMs: 100 },
    );
    const kubeApi = `http://127.0.0.1:${server.port}`;
    const connection = connect({ kubeApi, kubeToken: "s3cret" });
    assert.equal((await connection.request({ path: "/", timeoutMs: 5000 })).status, 200);
    assert.equal(authorization, "Bearer s3cret");
  });

  it("takes the certificate of an API URL unseen only when that is asked for", async () => {
    await using server = await serve((_req, res) => res.end("ok"));
    const ask = { path: "/", timeoutMs: 5000 };
    const blind = connect({ kubeApi: url(server), insecureKubeApi: true });
    assert.equal((await blind.request(ask)).body, "ok");
    const seeing = connect({ kubeApi: url(server) });
    await assert.rejects(seeing.request(ask), { code: "KUBERNETES_UNAVAILABLE" });
  });

  for (const [name, text, message] of [
    ["no YAML", "{", /it is not a kubeconfig/],
    ["an empty file", "", /it is not a kubeconfig/],
    ["another document", "kind: Pod", /current-context "" is not one of its contexts/],
    [
      "a context that is not there",
      kubeconfigText({ context: "other" }),
      /current-context "other" is not one of its contexts/,
    ],
    [
      "a server that is no URL",
      kubeconfigText({ server: "ftp://x" }),
      /server "ftp:\/\/x": expected an http or https URL/,
    ],
    [
      "plain HTTP that nobody asked for",
      kubeconfigText({ server: "http://127.0.0.1:1" }),
      /expected https, or insecure-skip-tls-verify/,
    ],
    [
      "a user that is not there",
      kubeconfigText({}).replace("- name: me", "- name: you"),
      /user "me" is not there/,
    ],
    [
      "a certificate file that is not there",
      kubeconfigText({ user: { "client-certificate": "absent.pem" } }),
      /cannot read ".*absent.pem": ENOENT/,
    ],
    [
      "a token file that is not there",
      kubeconfigText({ user: { tokenFile: "absent" } }),
      /cannot read ".*absent": ENOENT/,
    ],
  ] as const) {
    it(`refuses a kubeconfig with ${name}`, async (t) => {
      const kubeconfig = join(await temporaryFolder(t), "kubeconfig");
      await writeFile(kubeconfig, text);
      assert.throws(() => connect({ kubeconfig }), { code: "CONFIG_INVALID", message });
    });
  }

  it("refuses a kubeconfig that is not there, without quoting one that is broken", async (t) => {
    const folder = await temporaryFolder(t);
    assert.throws(() => connect({ kubeconfig: join(folder, "absent") }), {
      code: "CONFIG_INVALID",
      message: /cannot read kubeconfig ".*absent": ENOENT/,
    });
    const kubeconfig = join(folder, "kubeconfig");
    await writeFile(kubeconfig, "users:\n- token: s3cret\n  bad: [");
    assert.throws(
      () => connect({ kubeconfig }),
      (err: Error) => !`${err.message} ${String(err.cause)}`.includes("s3cret"),
    );
  });

  it("refuses to start with nothing given outside a cluster", (t) => {
    inPod(t, {});
    assert.throws(() => connect({}), {
      code: "CONFIG_INVALID",
      message: /expected a kubeconfig file, an API server URL, or to run in a pod/,
    });
  });
});

describe("connect in a pod", () => {
  it("uses the ServiceAccount's files, and a new token once the old one was read over 60 s ago", async (t) => {
    const root = await temporaryFolder(t);
    const token = join(root, "var/run/secrets/kubernetes.io/serviceaccount/token");
    await mkdir(dirname(token), { recursive: true });
    await writeFile(join(dirname(token), "ca.crt"), authority.cert);
    await writeFile(token, "first\n");
    const tokens: (string | undefined)[] = [];
    await using server = await serve((req, res) => {
      tokens.push(req.headers.authorization);
      res.end();
    });
    inPod(t, { host: "127.0.0.1", port: String(server.port) });
    t.mock.timers.enable({ apis: ["Date"], now: Date.now() });

    const connection = connect({ inClusterRoot: root });
    const ask = () => connection.request({ path: "/", timeoutMs: 5000 });
    await ask();
    await writeFile(token, "second");
    t.mock.timers.tick(60_000);
    await ask();
    t.mock.timers.tick(1);
    await ask();
    assert.deepEqual(tokens, ["Bearer first", "Bearer first", "Bearer second"]);
  });

  it("refuses a pod without a token", async (t) => {
    inPod(t, { host: "10.0.0.1", port: "443" });
    assert.throws(() => connect({ inClusterRoot: join(tmpdir(), "absent") }), {
      code: "CONFIG_INVALID",
      message: /cannot read ".*ca.crt": ENOENT/,
    });
  });
});

describe("KubeConnection.request", () => {
  it("reads the token file of a kubeconfig, as projected tokens need it", async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, "token"), "from-file\n");
    await using server = await serve((req, res) => res.end(req.headers.authorization));
    const user = { tokenFile: "token", token: "loses" };
    const connection = await connected(folder, server, { user });
    assert.equal(
      (await connection.request({ path: "/", timeoutMs: 5000 })).body,
      "Bearer from-file",
    );
  });

  it("asks another server of the cluster by its own name, with the same CA and token", async (t) => {
    await using main = await serve((_req, res) => res.end("main"));
    await using other = await serve((req, res) => res.end(req.headers.authorization), named);
    const user = { token: "s3cret" };
    const connection = await connected(await temporaryFolder(t), main, { user });
    const ask = (serverName?: string) =>
      connection.request({ path: "/", timeoutMs: 5000, server: { url: url(other), serverName } });
    assert.equal((await ask("kubernetes.default.svc")).body, "Bearer s3cret");
    await assert.rejects(ask(), { code: "KUBERNETES_UNAVAILABLE", message: /127\.0\.0\.1/ });
    await assert.rejects(ask("elsewhere.example"), { code: "KUBERNETES_UNAVAILABLE" });
    assert.equal((await connection.request({ path: "/", timeoutMs: 5000 })).body, "main");
  });

  it("refuses a server whose certificate the CA did not sign, unless told to skip that", async (t) => {
    const foreign = await createAuthority("cluster authority", validity);
    const pair = await issueServingCertificate(foreign, ["127.0.0.1"], validity);
    await using server = await serve((_req, res) => res.end("ok"), pair);
    const folder = await temporaryFolder(t);
    const strict = await connected(folder, server);
    await assert.rejects(strict.request({ path: "/", timeoutMs: 5000 }), {
      code: "KUBERNETES_UNAVAILABLE",
      message: /certificate/,
    });
    const cluster = {
      "insecure-skip-tls-verify": true,
      "certificate-authority-data": undefined,
    };
    const lax = await connected(folder, server, { cluster });
    assert.equal((await lax.request({ path: "/", timeoutMs: 5000 })).status, 200);
  });

  it("runs a credential plugin, and never quotes what it prints", async (t) => {
    await using server = await serve((req, res) => res.end(req.headers.authorization));
    const folder = await temporaryFolder(t);
    const credential = JSON.stringify({ kind: "ExecCredential", status: { token: "s3cret" } });
    const good = await connected(folder, server, printing(credential));
    assert.equal((await good.request({ path: "/", timeoutMs: 5000 })).body, "Bearer s3cret");

    const bad = await connected(folder, server, printing(`token: s3cret ${credential}`));
    await assert.rejects(bad.request({ path: "/", timeoutMs: 5000 }), (err) => {
      assert.match(String(err), /the credential plugin printed no JSON/);
      assert.ok(!inspect(err).includes("s3cret"));
      return true;
    });
  });

  it("goes through the proxy of a kubeconfig", async (t) => {
    await using server = await serve((_req, res) => res.end("through"));
    const asked: (string | undefined)[] = [];
    const proxy = createServer().on("connect", (req: IncomingMessage, client: Socket) => {
      asked.push(req.url);
      const upstream = createConnection(server.port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        upstream.pipe(client).pipe(upstream);
      });
      upstream.on("error", () => client.destroy());
      client.on("error", () => upstream.destroy());
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    t.after(() => proxy.close());
    const address = proxy.address();
    assert.ok(address !== null && typeof address === "object");
    const cluster = { "proxy-url": `http://127.0.0.1:${address.port}` };
    const connection = await connected(await temporaryFolder(t), server, { cluster });
    assert.equal((await connection.request({ path: "/", timeoutMs: 5000 })).body, "through");
    assert.deepEqual(asked, [`127.0.0.1:${server.port}`]);
  });

  it("trusts a CA file that was replaced while it runs", async (t) => {
    const folder = await temporaryFolder(t);
    const old = await createAuthority("old authority", validity);
    await writeFile(join(folder, "ca.pem"), old.cert);
    await using server = await serve((_req, res) => res.end("ok"));
    const cluster = {
      "certificate-authority": "ca.pem",
      "certificate-authority-data": undefined,
    };
    const connection = await connected(folder, server, { cluster });
    await assert.rejects(connection.request({ path: "/", timeoutMs: 5000 }), {
      code: "KUBERNETES_UNAVAILABLE",
    });
    await writeFile(join(folder, "ca.pem"), authority.cert);
    assert.equal((await connection.request({ path: "/", timeoutMs: 5000 })).status, 200);
  });
});

/** A user whose credential plugin prints a text. */
function printing(text: string): Kubeconfig {
  const args = ["-p", JSON.stringify(text)];
  return { user: { exec: { command: process.execPath, args, interactiveMode: "Never" } } };
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-connection-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function serve(handler: RequestListener, pair = keyPair): Promise<RunningServer> {
  return listen(handler, { port: 0, host: "127.0.0.1", drainMs: 100, keyPair: pair });
}

function url(server: RunningServer): string {
  return `https://127.0.0.1:${server.port}`;
}

interface Kubeconfig {
  readonly server?: string;
  readonly context?: string;
  readonly cluster?: Readonly<Record<string, unknown>>;
  readonly user?: Readonly<Record<string, unknown>>;
}

function kubeconfigText({
  server = "https://127.0.0.1:1",
  context = "here",
  cluster,
  user = {},
}: Kubeconfig): string {
  const ca = Buffer.from(authority.cert).toString("base64");
  return stringify({
    "current-context": context,
    clusters: [{ name: "c", cluster: { server, "certificate-authority-data": ca, ...cluster } }],
    contexts: [{ name: "here", context: { cluster: "c", user: "me" } }],
    users: [{ name: "me", user }],
  });
}

async function connected(
  folder: string,
  server: RunningServer,
  settings: Kubeconfig = {},
): Promise<KubeConnection> {
  const kubeconfig = join(folder, "kubeconfig");
  await writeFile(kubeconfig, kubeconfigText({ server: url(server), ...settings }));
  return connect({ kubeconfig });
}

/** client-node finds its cluster in the environment, which is put back after the test. */
function inPod(t: TestContext, { host, port }: { host?: string; port?: string }): void {
  for (const [name, value] of [
    ["KUBERNETES_SERVICE_HOST", host],
    ["KUBERNETES_SERVICE_PORT", port],
  ] as const) {
    // oxlint-disable node/no-process-env
    const before = process.env[name];
    t.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
    // oxlint-enable node/no-process-env
  }
}
