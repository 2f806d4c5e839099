import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import jsonPatch from "fast-json-patch";
import { parse, stringify } from "yaml";
import {
  additions,
  inject,
  injectWithAccounts,
  POD,
  ROLE_ARN,
  SERVICE_ACCOUNTS,
  VOLUMES,
} from "../../test/fakes/run-inject.ts";

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
    await using folder = await mkdtempDisposable(join(tmpdir(), "irsa-inject-"));
    const file = join(folder.path, "sa.yaml");
    await writeFile(file, SERVICE_ACCOUNTS);
    const args = ["inject", "-f", "-", "--service-account-file", file];
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
