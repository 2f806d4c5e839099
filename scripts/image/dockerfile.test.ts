import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { iptablesImageOf } from "./build-image.ts";
import { imageSettingsOf } from "./image-settings.ts";

const root = new URL("../../", import.meta.url);
const read = (name: string): Promise<string> => readFile(new URL(name, root), "utf8");
const dockerfile = await read("Dockerfile");
const iptablesDockerfile = await read("Dockerfile.iptables");

/** What follows an instruction, wherever it stands in the file. */
const argumentsOf = (name: string, file = dockerfile): readonly string[] =>
  file
    .replaceAll(/^#.*\n/gm, "")
    // An instruction on one line.
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line.startsWith(`${name} `))
    .map((line) => line.slice(name.length + 1));

describe("the Dockerfile", () => {
  it("has one base, by argument, which is distroless with the Node that the code needs", async () => {
    assert.deepEqual(argumentsOf("FROM"), ["${BASE}"]);
    const major = (await read(".node-version")).split(".")[0];
    const [base = ""] = argumentsOf("ARG");
    assert.match(base, new RegExp(`^BASE=gcr\\.io/distroless/nodejs${major}-debian\\d+:nonroot$`));
  });

  it("runs nothing while it is built, so that it needs neither a network nor a machine of each kind", () => {
    assert.deepEqual([...argumentsOf("RUN"), ...argumentsOf("ADD")], []);
  });

  it("runs as a user that can be told not to be root, without a shell", () => {
    assert.deepEqual(argumentsOf("USER"), ["${RUN_AS}"]);
    assert.ok(argumentsOf("ARG").includes("RUN_AS=65532:65532"));
    const [entrypoint = ""] = argumentsOf("ENTRYPOINT");
    assert.match(entrypoint, /^\["\/nodejs\/bin\/node", (?:"--[\w=-]+", )*"\/app\/irsa\.mjs"\]$/);
  });

  it("is given what it copies and nothing else of the folder", async () => {
    const [copied = ""] = argumentsOf("COPY");
    const sources = copied.split(" ").filter((word) => !word.startsWith("--") && word !== "./");
    const ignored = (await read(".dockerignore")).split("\n").filter((line) => line !== "");
    assert.deepEqual(ignored, ["*", ...sources.map((source) => `!${source}`)]);
  });

  it("sets options that Node takes, from the environment and as flags", async () => {
    const { env, nodeFlags } = imageSettingsOf(dockerfile);
    assert.match(env["NODE_OPTIONS"] ?? "", /^--/);
    assert.notEqual(nodeFlags.length, 0);
    const args = [...nodeFlags, "-p", "1 + 1"];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
    assert.deepEqual([stdout, stderr], ["2\n", ""]);
  });
});

describe("the Dockerfile of the base with iptables", () => {
  it("takes Node from the base of the other, and Debian of the release that this is", () => {
    const [base = ""] = argumentsOf("ARG");
    const node = base.replace("BASE=", "NODE=");
    const release = /-debian(\d+):/.exec(base)?.[1];
    const wanted = [node, `DEBIAN=docker.io/library/debian:${release}-slim`];
    assert.deepEqual(argumentsOf("ARG", iptablesDockerfile), wanted);
    assert.deepEqual(argumentsOf("COPY", iptablesDockerfile), [
      "--from=node /nodejs/bin/node /nodejs/bin/node",
    ]);
  });

  for (const name of ["conntrack", "iproute2", "iptables"]) {
    it(`adds the package ${name}`, () => {
      const [install = ""] = argumentsOf("RUN", iptablesDockerfile);
      assert.ok(install.split(/[\s&]+/).includes(name), install);
    });
  }
});

describe("the name of the image with iptables", () => {
  for (const [image, wanted] of [
    ["localhost/irsa-anywhere:0.1.0", "localhost/irsa-anywhere-iptables:0.1.0"],
    ["registry.example.com:5000/irsa", "registry.example.com:5000/irsa-iptables"],
  ] as const) {
    it(`is ${wanted} beside ${image}`, () => assert.equal(iptablesImageOf(image), wanted));
  }
});

describe("the settings of the image", () => {
  const entrypoint = 'ENTRYPOINT ["/node", "--c=2", "/d.mjs"]\n';

  it("are what its lines set", () => {
    const text = `FROM a\nENV NODE_OPTIONS="--a=1 --b"\nENV X="1"\n${entrypoint}`;
    const env = { NODE_OPTIONS: "--a=1 --b", X: "1" };
    assert.deepEqual(imageSettingsOf(text), { env, nodeFlags: ["--c=2"] });
  });

  for (const text of ["FROM a\n", "ENV A=1\n", 'ENV A="$B"\n', 'ENV A="1" B="2"\n']) {
    it(`are an error in ${JSON.stringify(text)}`, () => {
      assert.throws(() => imageSettingsOf(text + entrypoint), /ENV/);
    });
  }

  it("are an error without the program's command", () => {
    assert.throws(() => imageSettingsOf('ENV A="1"\nENTRYPOINT node\n'), /ENTRYPOINT/);
  });
});
