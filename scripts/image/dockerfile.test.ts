import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { imageEnvironmentOf } from "./image-environment.ts";

const root = new URL("../../", import.meta.url);
const read = (name: string): Promise<string> => readFile(new URL(name, root), "utf8");
const dockerfile = await read("Dockerfile");

/** Its instructions, each on one line. */
const instructions = dockerfile
  .replaceAll(/^#.*\n/gm, "")
  .replaceAll(/\\\n\s*/g, "")
  .split("\n")
  .filter((line) => line !== "");
const argumentsOf = (name: string): readonly string[] =>
  instructions.filter((line) => line.startsWith(`${name} `)).map((l) => l.slice(name.length + 1));

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
    assert.deepEqual(argumentsOf("USER"), ["65532:65532"]);
    assert.deepEqual(argumentsOf("ENTRYPOINT"), ['["/nodejs/bin/node", "/app/irsa.mjs"]']);
  });

  it("is given what it copies and nothing else of the folder", async () => {
    const [copied = ""] = argumentsOf("COPY");
    const sources = copied.split(" ").filter((word) => !word.startsWith("--") && word !== "./");
    const ignored = (await read(".dockerignore")).split("\n").filter((line) => line !== "");
    assert.deepEqual(ignored, ["*", ...sources.map((source) => `!${source}`)]);
  });

  it("sets options that Node takes from the environment", async () => {
    const env = { ...imageEnvironmentOf(dockerfile) };
    assert.match(env["NODE_OPTIONS"] ?? "", /^--/);
    const { stdout } = await promisify(execFile)(process.execPath, ["-p", "1 + 1"], { env });
    assert.equal(stdout, "2\n");
  });
});

describe("the environment of the image", () => {
  it("is what its lines set", () => {
    const text = 'FROM a\nENV NODE_OPTIONS="--a=1 --b"\nENV X="1"\n';
    assert.deepEqual(imageEnvironmentOf(text), { NODE_OPTIONS: "--a=1 --b", X: "1" });
  });

  for (const text of ["FROM a\n", "ENV A=1\n", 'ENV A="$B"\n', 'ENV A="1" B="2"\n']) {
    it(`is an error in ${JSON.stringify(text)}`, () => {
      assert.throws(() => imageEnvironmentOf(text), /ENV/);
    });
  }
});
