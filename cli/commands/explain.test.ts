import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { Command, CommanderError } from "commander";
import { startObjectServer, type ObjectServer } from "../../test/fakes/object-server.ts";
import { addExplain } from "./explain.ts";

const ROLE = "arn:aws:iam::111122223333:role/reader";

interface Run {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

describe("irsa explain", () => {
  const cleanUp = new AsyncDisposableStack();
  let folder = "";
  let server: ObjectServer;
  let kubeconfig = "";

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "irsa-explain-"));
    cleanUp.defer(() => rm(folder, { recursive: true }));
    server = cleanUp.use(await startObjectServer());
    kubeconfig = await writeKubeconfig("config", server.url);
    await mkdir(join(folder, ".kube"));
    await writeKubeconfig(join(".kube", "config"), server.url);
    const metadata = { labels: { "irsa-anywhere.io/injection": "enabled" } };
    server.put("/api/v1/namespaces/team", { metadata });
    server.put("/api/v1/namespaces/team/serviceaccounts/reader", {
      metadata: { annotations: { "example.com/role-arn": ROLE } },
    });
    const spec = { serviceAccountName: "reader", containers: [{ name: "app" }] };
    server.put("/api/v1/namespaces/team/pods/web", { metadata: {}, spec });
  });
  after(() => cleanUp.disposeAsync());

  async function writeKubeconfig(name: string, url: string): Promise<string> {
    const path = join(folder, name);
    const text = `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "${url}", insecure-skip-tls-verify: true } }]
users: [{ name: u, user: {} }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`;
    await writeFile(path, text);
    return path;
  }

  async function explain(
    args: readonly string[],
    env: Readonly<Record<string, string>> = { KUBECONFIG: kubeconfig },
  ): Promise<Run> {
    const [out, err]: [string[], string[]] = [[], []];
    const irsa = new Command("irsa")
      .exitOverride()
      .configureOutput({ writeErr: (text) => void err.push(text) });
    addExplain(irsa, {
      env: { HOME: join(folder, "nobody"), ...env },
      stdin: Readable.from([]),
      stdout: sink(out),
      stderr: sink(err),
      signal: new AbortController().signal,
    });
    let status = 0;
    try {
      await irsa.parseAsync(["explain", ...args], { from: "user" });
    } catch (thrown) {
      if (!(thrown instanceof CommanderError)) throw thrown;
      status = thrown.exitCode;
    }
    return { status, out: out.join(""), err: err.join("") };
  }

  it("tells a pod without identity by its exit status", async () => {
    const { status, out, err } = await explain(["pod", "team/web"]);
    assert.equal(status, 1);
    assert.match(out, /^✘ Pod team\/web has no working AWS identity: Webhook configuration: /m);
    assert.equal(err, "");
  });

  it("takes the flags of the webhook", async () => {
    const { out } = await explain(["pod", "team/web", "--annotation-prefix=example.com"]);
    assert.match(out, /^✔ 8\. Role annotation: example\.com\/role-arn=arn/m);
  });

  it("takes roles from the ConfigMap of the webhook, when told so", async () => {
    const data = { config: JSON.stringify({ "team/reader": { RoleARN: ROLE } }) };
    server.put("/api/v1/namespaces/irsa/configmaps/pod-identity-webhook", { metadata: {}, data });
    const flags = ["--watch-config-map", "--namespace=irsa"];
    const { out } = await explain(["pod", "team/web", ...flags]);
    assert.match(out, /^✔ 8\. Role annotation: no .*; arn:.*role\/reader from: config-map$/m);
  });

  it("prints JSON without colours", async () => {
    const { status, out } = await explain(["pod", "team/web", "--json"]);
    assert.equal(status, 1);
    const { pod, fine } = JSON.parse(out) as { pod: string; fine: boolean };
    assert.deepEqual({ pod, fine }, { pod: "team/web", fine: false });
  });

  const access: readonly (readonly [
    string,
    () => readonly string[],
    () => Record<string, string>,
  ])[] = [
    ["--kubeconfig", () => ["--kubeconfig", kubeconfig], () => ({ KUBECONFIG: "/absent" })],
    ["KUBECONFIG", () => [], () => ({ KUBECONFIG: kubeconfig })],
    [
      "the first file of KUBECONFIG that is there",
      () => [],
      () => ({ KUBECONFIG: ["", "/absent", kubeconfig].join(delimiter) }),
    ],
    ["~/.kube/config", () => [], () => ({ HOME: folder })],
  ];
  for (const [name, flags, env] of access) {
    it(`finds the cluster by ${name}`, async () => {
      const { status, err } = await explain(["pod", "team/web", ...flags()], env());
      assert.equal(err, "");
      assert.equal(status, 1);
    });
  }

  const unseen: readonly (readonly [string, readonly string[], Record<string, string>, RegExp])[] =
    [
      ["a pod that is not there", ["pod", "team/other"], {}, /Cannot read pod team\/other.*404/],
      ["a pod without a namespace", ["pod", "web"], {}, /expected NAMESPACE\/NAME/],
      ["another kind", ["service", "team/web"], {}, /Allowed choices are pod/],
      ["nothing", [], {}, /missing required argument/],
      ["an unknown flag", ["pod", "team/web", "--quick"], {}, /unknown option/],
      [
        "a name without its account",
        ["pod", "team/web", "--compose-role-arn"],
        {},
        /needs --account-id/,
      ],
      ["a bad setting", ["pod", "team/web", "--json=perhaps"], {}, /--json "perhaps"/],
      [
        "a kubeconfig that is not there",
        ["pod", "team/web"],
        { KUBECONFIG: "/absent/config" },
        /cannot read kubeconfig "\/absent\/config"/,
      ],
    ];
  for (const [name, args, env, says] of unseen) {
    it(`has another exit status for ${name}`, async () => {
      const { status, out, err } = await explain(args, { KUBECONFIG: kubeconfig, ...env });
      assert.match(err, says);
      assert.equal(out, "");
      assert.equal(status, 2);
    });
  }

  it("has another exit status when the API server does not answer", async () => {
    const gone = await startObjectServer();
    const path = await writeKubeconfig("gone", gone.url);
    await gone[Symbol.asyncDispose]();
    const { status, err } = await explain(["pod", "team/web"], { KUBECONFIG: path });
    assert.match(
      err,
      /^irsa: Cannot GET http:\/\/127\.0\.0\.1:\d+\/api\/v1\/namespaces\/team\/pods\/web: /,
    );
    assert.equal(status, 2);
  });

  it("prints its help with exit status 0", async () => {
    const irsa = new Command("irsa").exitOverride().configureOutput({ writeOut: () => {} });
    const sinkhole = sink([]);
    const stdin = Readable.from([]);
    const { signal } = new AbortController();
    addExplain(irsa, { env: {}, stdin, stdout: sinkhole, stderr: sinkhole, signal });
    await assert.rejects(irsa.parseAsync(["explain", "--help"], { from: "user" }), { exitCode: 0 });
  });
});

function sink(texts: string[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      texts.push(chunk.toString());
      done();
    },
  });
}
