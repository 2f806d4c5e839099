import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { Command } from "commander";
import jsonPatch from "fast-json-patch";
import { parse, stringify } from "yaml";
import { addInject } from "./inject.ts";

const ROLE_ARN = "arn:aws:iam::111122223333:role/s3-reader";
const TOKEN_PATH = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
const SERVICE_ACCOUNTS = `apiVersion: v1
kind: ServiceAccount
metadata:
  name: app
  namespace: team
  annotations:
    eks.amazonaws.com/role-arn: ${ROLE_ARN}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: plain
  namespace: team
`;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "irsa-inject-"));
  await writeFile(join(folder, "sa.yaml"), SERVICE_ACCOUNTS);
});
after(() => rm(folder, { recursive: true }));

interface Run {
  readonly out: string;
  readonly notes: readonly string[];
}

function collected(): { readonly stream: Writable; readonly texts: string[] } {
  const texts: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      texts.push(chunk.toString());
      done();
    },
  });
  return { stream, texts };
}

/** Runs the command in this process, with `input` as its stdin. */
async function inject(input: string, ...args: readonly string[]): Promise<Run> {
  const [stdout, stderr] = [collected(), collected()];
  const irsa = new Command("irsa").exitOverride();
  addInject(irsa, {
    env: {},
    stdin: Readable.from([Buffer.from(input)]),
    stdout: stdout.stream,
    stderr: stderr.stream,
    signal: new AbortController().signal,
  });
  await irsa.parseAsync(["inject", "-f", "-", ...args], { from: "user" });
  const notes = stderr.texts.join("").split("\n").slice(0, -1);
  return { out: stdout.texts.join(""), notes };
}

function injectWithAccounts(input: string, ...args: readonly string[]): Promise<Run> {
  return inject(input, `--service-account-file=${join(folder, "sa.yaml")}`, ...args);
}

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: team
spec:
  serviceAccountName: app
  containers:
    - name: web
`;

/** What is added to a container, at an indentation. */
function additions(indent: string): string {
  return [
    "env:",
    "  - name: AWS_ROLE_ARN",
    `    value: ${ROLE_ARN}`,
    "  - name: AWS_WEB_IDENTITY_TOKEN_FILE",
    `    value: ${TOKEN_PATH}/token`,
    "volumeMounts:",
    "  - name: aws-iam-token",
    `    mountPath: ${TOKEN_PATH}`,
    "    readOnly: true",
  ]
    .map((line) => `${indent}${line}\n`)
    .join("");
}

const VOLUMES = `  volumes:
    - name: aws-iam-token
      projected:
        sources:
          - serviceAccountToken:
              audience: sts.amazonaws.com
              expirationSeconds: 86400
              path: token
`;

function pod(metadata: object, spec: object): string {
  return stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "web", ...metadata }, spec });
}

function account(metadata: object): string {
  const annotations = { "eks.amazonaws.com/role-arn": ROLE_ARN };
  const manifest = { kind: "ServiceAccount", metadata: { ...metadata, annotations } };
  return stringify({ apiVersion: "v1", ...manifest });
}

describe("irsa inject", () => {
  it("mutates a pod", async () => {
    assert.deepEqual(await injectWithAccounts(POD), {
      out: `${POD}${additions("      ")}${VOLUMES}`,
      notes: [`stdin document 1: Pod team/web: injected ${ROLE_ARN} into web`],
    });
  });

  it("leaves what it has mutated as it is", async () => {
    const { out } = await injectWithAccounts(POD);
    assert.deepEqual(await injectWithAccounts(out), {
      out,
      notes: ["stdin document 1: Pod team/web: left as it is: everything is there already"],
    });
  });

  for (const [style, indent, dashIndent] of [
    ["two spaces, lists below their key", "  ", ""],
    ["two spaces, lists indented", "  ", "  "],
    ["four spaces, lists indented", "    ", "    "],
  ] as const) {
    it(`keeps comments, order, quotes and indentation: ${style}`, async () => {
      const lines = (depth: number, ...texts: readonly string[]): string =>
        texts.map((line) => `${indent.repeat(depth)}${line}\n`).join("");
      const head =
        lines(0, "# The web server", "apiVersion: apps/v1", "kind: Deployment") +
        lines(0, "metadata: {name: web, namespace: team}", "spec:") +
        lines(1, 'selector: {matchLabels: {app: "web"}}', "template:") +
        lines(2, "metadata:") +
        lines(3, "labels: {app: 'web'}") +
        lines(2, "spec:") +
        lines(3, "# who it is", "serviceAccountName: app", "containers:") +
        lines(3, `${dashIndent}# the main one`, `${dashIndent}- name: web # its name`) +
        lines(3, `${dashIndent}  args: ["-a", '-b']`, `${dashIndent}  command:`) +
        lines(3, `${dashIndent}  ${dashIndent}- |`) +
        lines(3, `${dashIndent}  ${dashIndent}  echo  hi`);
      const { out } = await injectWithAccounts(`${head}# the end\n`);
      assert.equal(out.slice(0, head.length), head);
      const list = indent.repeat(3) + dashIndent;
      assert.ok(out.includes(`${list}  env:\n${list}  ${dashIndent}- name: AWS_ROLE_ARN\n`), out);
      assert.ok(out.includes(`${indent.repeat(3)}volumes:\n${list}- name: aws-iam-token\n`), out);
      assert.match(out, /# the end\n$/);
    });
  }

  it("passes documents without a pod on byte for byte", async () => {
    const service = `# odd,   but ours\napiVersion: v1\nkind: Service\nmetadata: {name:   web}   # web\n`;
    const comment = `---\n# nothing here\n`;
    const other = `---\n\n"a list":\n   - 1\n...\n# the very end\n`;
    const { out, notes } = await injectWithAccounts(`${service}---\n${POD}${comment}${other}`);
    assert.equal(out, `${service}---\n${POD}${additions("      ")}${VOLUMES}${comment}${other}`);
    assert.deepEqual(notes, [
      "stdin document 1: Service web: left as it is: it holds no pod",
      `stdin document 2: Pod team/web: injected ${ROLE_ARN} into web`,
      "stdin document 3: left as it is: empty",
      "stdin document 4: no Kubernetes object: left as it is: it holds no pod",
    ]);
  });

  for (const input of ["", "# only a comment\n", "---\n"]) {
    it(`passes ${JSON.stringify(input)} on`, async () => {
      assert.equal((await injectWithAccounts(input)).out, input);
    });
  }

  for (const [apiVersion, kind, ...path] of [
    ["v1", "Pod"],
    ["v1", "PodTemplate", "template"],
    ["v1", "ReplicationController", "spec", "template"],
    ["apps/v1", "Deployment", "spec", "template"],
    ["extensions/v1beta1", "Deployment", "spec", "template"],
    ["apps/v1", "DaemonSet", "spec", "template"],
    ["apps/v1", "StatefulSet", "spec", "template"],
    ["apps/v1", "ReplicaSet", "spec", "template"],
    ["batch/v1", "Job", "spec", "template"],
    ["batch/v1", "CronJob", "spec", "jobTemplate", "spec", "template"],
  ] as const) {
    it(`finds the pod in a ${kind} of ${apiVersion}`, async () => {
      const template = { spec: { serviceAccountName: "app", containers: [{ name: "web" }] } };
      const object = path.reduceRight<object>((inner, key) => ({ [key]: inner }), template);
      const manifest = {
        apiVersion,
        kind,
        metadata: { name: "web", namespace: "team" },
        ...object,
      };
      const { out, notes } = await injectWithAccounts(stringify(manifest));
      const found = path.reduce((node, key) => node[key], parse(out));
      assert.equal(found.spec.containers[0].env[0].value, ROLE_ARN);
      assert.match(String(notes[0]), /: injected /);
    });
  }

  for (const [apiVersion, kind] of [
    ["example.com/v1", "Deployment"],
    ["serving.knative.dev/v1", "Service"],
    ["v1", "ServiceAccount"],
  ] as const) {
    it(`leaves a ${kind} of ${apiVersion} alone`, async () => {
      const template = { spec: { serviceAccountName: "app", containers: [{ name: "web" }] } };
      const manifest = { apiVersion, kind, metadata: { name: "web" }, spec: { template } };
      const { out } = await injectWithAccounts(stringify(manifest));
      assert.equal(out, stringify(manifest));
    });
  }

  it("mutates the items of a List, with a note for each", async () => {
    const list = {
      apiVersion: "v1",
      kind: "List",
      items: [parse(POD), { apiVersion: "v1", kind: "Service", metadata: { name: "web" } }],
    };
    const { out, notes } = await injectWithAccounts(stringify(list));
    const { items } = parse(out);
    assert.equal(items[0].spec.containers[0].env.length, 2);
    assert.deepEqual(items[1], list.items[1]);
    assert.deepEqual(notes, [
      `stdin document 1: Pod team/web: injected ${ROLE_ARN} into web`,
      "stdin document 1: Service web: left as it is: it holds no pod",
    ]);
  });

  it("keeps JSON JSON, and CRLF CRLF", async () => {
    const json = JSON.stringify(parse(POD), undefined, 4);
    const fromJson = (await injectWithAccounts(json)).out;
    const crlf = (await injectWithAccounts(POD.replaceAll("\n", "\r\n"))).out;
    const wanted = parse(POD + additions("      ") + VOLUMES);
    assert.deepEqual(JSON.parse(fromJson), wanted);
    assert.match(fromJson, /^ {4}"kind": "Pod"/m);
    assert.deepEqual(parse(crlf), wanted);
    assert.doesNotMatch(crlf, /[^\r]\n/);
  });

  it("gives aliases and merged fields a copy of their own", async () => {
    const { out } = await injectWithAccounts(`apiVersion: v1
kind: Pod
metadata: { name: web, namespace: team }
x-env: &env
  - { name: HOME, value: /root }
x-base: &base
  volumeMounts:
    - { name: data, mountPath: /data }
spec:
  serviceAccountName: app
  containers:
    - name: one # comment
      env: *env
      <<: *base
    - name: two
      env: *env
`);
    const { spec, ...rest } = parse(out, { merge: true });
    assert.deepEqual(rest["x-env"], [{ name: "HOME", value: "/root" }]);
    assert.deepEqual(rest["x-base"], { volumeMounts: [{ name: "data", mountPath: "/data" }] });
    for (const { env } of spec.containers) {
      assert.deepEqual(
        env.map(({ name }: { name: string }) => name),
        ["HOME", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
      );
    }
    assert.deepEqual(
      spec.containers[0].volumeMounts.map(({ name }: { name: string }) => name),
      ["data", "aws-iam-token"],
    );
    assert.match(out, /- name: one # comment\n/);
  });

  const scalars =
    "0400|0o400|0x1F|1_000|12345678901234567890|-9007199254740993|1.10|1e3|+5|.5|yes|off|~|" +
    "2001-12-14|12:30:45|\"0400\"|'no'";
  for (const scalar of scalars.split("|")) {
    it(`writes ${scalar} as it was written`, async () => {
      const { out } = await injectWithAccounts(`${POD}      x-field: ${scalar}\n`);
      assert.equal(out, `${POD}      x-field: ${scalar}\n${additions("      ")}${VOLUMES}`);
    });
  }

  it("copies what an alias stands for as kubectl reads it", async () => {
    const { out } = await injectWithAccounts(`apiVersion: v1
kind: Pod
metadata: { name: web, namespace: team }
x-base: &base
  volumeMounts: []
  env:
    - { name: TEXT, value: "yes", x-mode: 0400, x-size: 12345678901234567890 }
    - { name: OTHER, value: 'off', x-octal: "0o17", x-bool: on }
spec:
  serviceAccountName: app
  containers:
    - <<: *base
      name: one
`);
    // YAML 1.1 is what kubectl reads, with neither dates nor base 60.
    const { spec } = parse(out, { schema: "yaml-1.1", merge: true, intAsBigInt: true });
    assert.deepEqual(spec.containers[0].env.slice(0, 2), [
      { name: "TEXT", value: "yes", "x-mode": 0o400n, "x-size": 12345678901234567890n },
      { name: "OTHER", value: "off", "x-octal": "0o17", "x-bool": true },
    ]);
    assert.match(out, /x-octal: "0o17"/);
  });

  it("keeps whole numbers in JSON that no double can hold", async () => {
    const json = JSON.stringify(parse(POD)).replace('"name":"web"}]', '"x":-9007199254740993}]');
    const { out } = await injectWithAccounts(json);
    assert.ok(out.includes('"x":-9007199254740993,"env":['), out);
  });

  it("adds nothing to a skipped container that shares a list with another", async () => {
    const { out } = await injectWithAccounts(`apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: team
  annotations: { eks.amazonaws.com/skip-containers: two }
spec:
  serviceAccountName: app
  containers:
    - name: one
      env: &env [{ name: HOME, value: /root }]
    - name: two
      env: *env
`);
    const [one, two] = parse(out).spec.containers;
    assert.equal(one.env.length, 3);
    assert.deepEqual(two, { name: "two", env: [{ name: "HOME", value: "/root" }] });
  });

  describe("finds the ServiceAccount", () => {
    const containers = [{ name: "web" }];
    const app = { serviceAccountName: "app", containers };
    for (const [name, accountMetadata, podMetadata, podSpec, args, note] of [
      ["by namespace and name", { namespace: "a", name: "app" }, { namespace: "a" }, app, [], ""],
      ["without a namespace, anywhere", { name: "app" }, { namespace: "a" }, app, [], ""],
      ["in `default`", { namespace: "default", name: "app" }, {}, app, [], ""],
      [
        "in the default namespace given",
        { namespace: "a", name: "app" },
        {},
        app,
        ["--default-namespace=a"],
        "",
      ],
      ["`default`, where none is named", { name: "default" }, {}, { containers }, [], ""],
      ["by the old field", { name: "app" }, {}, { serviceAccount: "app", containers }, [], ""],
      [
        "not in another namespace",
        { namespace: "b", name: "app" },
        { namespace: "a" },
        app,
        [],
        "ServiceAccount a/app is in none of the files",
      ],
      [
        "not in another namespace than `default`",
        { namespace: "b", name: "app" },
        {},
        app,
        [],
        "ServiceAccount default/app is in none of the files",
      ],
      [
        "not by another name",
        { name: "other" },
        {},
        app,
        [],
        "ServiceAccount default/app is in none of the files",
      ],
    ] as const) {
      it(name, async () => {
        const file = join(folder, "account.yaml");
        await writeFile(file, account(accountMetadata));
        const { notes } = await inject(
          pod(podMetadata, podSpec),
          `--service-account-file=${file}`,
          ...args,
        );
        assert.match(String(notes[0]), note === "" ? /: injected / : new RegExp(`${note}$`));
      });
    }

    it("in a List, as kubectl prints them, and in JSON", async () => {
      const file = join(folder, "accounts.json");
      const items = [parse(account({ name: "other" })), parse(account({ name: "app" }))];
      await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
      const { notes } = await inject(pod({}, app), `--service-account-file=${file}`);
      assert.match(String(notes[0]), /: injected /);
    });

    it("among the manifests themselves", async () => {
      const { notes } = await inject(`${account({ name: "app" })}---\n${pod({}, app)}`);
      assert.match(String(notes[1]), /: injected /);
    });
  });

  it("says why it did nothing, and what it found wrong", async () => {
    const plain = POD.replace("serviceAccountName: app", "serviceAccountName: plain");
    assert.deepEqual((await injectWithAccounts(plain)).notes, [
      "stdin document 1: Pod team/web: left as it is: its ServiceAccount has no role",
    ]);
    const withHostPath = `${POD}  volumes:\n    - { name: aws-iam-token, hostPath: { path: /etc } }\n`;
    assert.deepEqual(await injectWithAccounts(withHostPath), {
      out: withHostPath,
      notes: [
        "stdin document 1: Pod team/web: left as it is: a volume or a mount of the pod is in the way",
        'stdin document 1: warning: Container "web" gets no identity: volume "aws-iam-token" is no token for "sts.amazonaws.com"',
      ],
    });
  });

  it("takes the webhook's flags: those of the mutation count, those of the server do nothing", async () => {
    const { out, notes } = await injectWithAccounts(
      POD,
      "--aws-default-region=eu-west-1",
      "--token-expiration=60",
      "--port=443",
      "--in-cluster=false",
      "-v=3",
    );
    assert.match(out, /name: AWS_REGION\n +value: eu-west-1/);
    assert.match(out, /expirationSeconds: 600/);
    assert.equal(notes[0], "--token-expiration 60 raised to 600");
  });

  for (const [name, input, args, wanted] of [
    ["bad YAML", "a: 1\n---\nb: [1\nc: 2\n", [], /stdin document 2, line \d: /],
    ["two mistakes at once", "a: [\n---\nb: {\n", [], /document 1, line .*\n.*document 2, line /],
    ["an alias without an anchor", "a: *b\n", [], /stdin document 1.*b/],
    ["a key given twice", "a: 1\na: 2\n", [], /stdin document 1, line 2: Map keys must be unique/],
    [
      "a pod that is none",
      "apiVersion: v1\nkind: Pod\nspec: { containers: web }\n",
      [],
      /spec\.containers: .*, in stdin document 1$/,
    ],
    [
      "a missing file",
      "",
      ["--service-account-file=/nonexistent.yaml"],
      /"\/nonexistent.yaml": ENO/,
    ],
    [
      "a ServiceAccount that is none",
      "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: 5 }\n",
      [],
      /Cannot read the ServiceAccount in stdin document 1: metadata.name: /,
    ],
  ] as const) {
    it(`refuses ${name}, naming it`, () =>
      assert.rejects(inject(input, ...args), { code: "INPUT_INVALID", message: wanted }));
  }

  it("refuses to ask for the account over the network", () =>
    assert.rejects(inject(POD, "--compose-role-arn"), {
      code: "CONFIG_INVALID",
      message: /--compose-role-arn needs --account-id here/,
    }));

  it("does what the webhook does, for each of its cases", async () => {
    const fixtures = new URL("../../webhook/fixtures/", import.meta.url);
    let compared = 0;
    for (const file of await readdir(fixtures)) {
      const fixture = parse(await readFile(new URL(file, fixtures), "utf8"));
      // Files know nothing of a cluster's other configuration, or of its running pods.
      const isOfCluster = ["association", "tier", "namespace", "ephemeralContainers"].some(
        (key) => key in fixture,
      );
      if (typeof fixture.serviceAccount === "string" || isOfCluster) continue;
      const meta = { name: "default", annotations: fixture.serviceAccount };
      const owner = { apiVersion: "v1", kind: "ServiceAccount", metadata: meta };
      const object = { apiVersion: "v1", kind: "Pod", ...fixture.pod };
      const [accounts, pods] = [owner, object].map((o) => stringify(o, { version: "1.1" }));
      const manifests = `${accounts}---\n${pods}`;
      const { out } = await inject(manifests, ...(fixture.flags ?? []));
      const operations = fixture.patch.map(
        ({ add: path, value }: { add: string; value: unknown }) => ({
          op: "add",
          path,
          value,
        }),
      );
      const wanted = jsonPatch.applyPatch(structuredClone(object), operations).newDocument;
      assert.deepEqual(parse(out.slice(out.indexOf("---\n"))), wanted, file);
      compared += 1;
    }
    assert.ok(compared > 80);
  });

  it("works in a pipe, as a process", async () => {
    const main = new URL("../main.ts", import.meta.url).pathname;
    const args = ["inject", "-f", "-", "--service-account-file", join(folder, "sa.yaml")];
    const run = async (input: string): Promise<readonly [number | null, string, string]> => {
      const child = spawn(process.execPath, [main, ...args], { stdio: "pipe" });
      const closed = once(child, "close");
      child.stdin.end(input);
      const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
      await closed;
      return [child.exitCode, out, err];
    };
    const [good, bad] = await Promise.all([run(POD), run("a: [")]);
    assert.deepEqual(good, [
      0,
      `${POD}${additions("      ")}${VOLUMES}`,
      `stdin document 1: Pod team/web: injected ${ROLE_ARN} into web\n`,
    ]);
    assert.deepEqual(bad.slice(0, 2), [1, ""]);
    assert.match(bad[2], /^irsa: Cannot read YAML:\n {2}stdin document 1, line 1: /);
  });
});
