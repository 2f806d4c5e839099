import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { additions, injectWithAccounts, POD, VOLUMES } from "../../test/fakes/run-inject.ts";

describe("irsa inject", () => {
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
});
