import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { componentsProgram, componentsSource } from "./build-components.ts";
import { findComponents, missingComponents } from "./components.ts";
import { buildGoProgram, goProblem } from "./go-build.ts";

/** A `go` that notes each call, tells a version, and "builds" what it was called with. */
const FAKE_GO = `#!/bin/sh
echo "$1 CGO_ENABLED=$CGO_ENABLED GOTOOLCHAIN=$GOTOOLCHAIN" >>"$CALLS"
case $1 in
  env) echo "$FAKE_VERSION" ;;
  build)
    echo "compiling" >&2
    [ -z "$FAKE_FAILURE" ] || exit 1
    for output; do [ "$previous" = -o ] && break; previous=$output; done
    echo "$@" >"$output"; chmod +x "$output" ;;
esac
`;

describe("the components' binary", () => {
  let folder: string;
  let env: NodeJS.ProcessEnv;
  const told: string[] = [];
  const progress = (message: string): void => void told.push(message);
  const build = async (buildEnv = env): Promise<string> =>
    buildGoProgram(await componentsProgram(buildEnv), { env: buildEnv, progress });
  beforeEach(async () => {
    told.length = 0;
    folder = await mkdtemp(join(tmpdir(), "irsa-build-"));
    await mkdir(join(folder, "bin"));
    await writeFile(join(folder, "bin", "go"), FAKE_GO);
    await chmod(join(folder, "bin", "go"), 0o755);
    env = {
      PATH: `${join(folder, "bin")}:${process.env["PATH"]}`,
      CALLS: join(folder, "calls"),
      FAKE_VERSION: "go1.25.0",
      XDG_CACHE_HOME: join(folder, "cache"),
    };
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("is built once by two that want it at the same time, and then found", async () => {
    const [one, two] = await Promise.all([build(), build()]);
    const source = await componentsSource();
    const { binary } = await componentsProgram(env);
    assert.deepEqual([one, two], [binary, binary]);
    assert.deepEqual(told, [
      `Building Kubernetes ${source.version} from Go modules, about 6 minutes the first time`,
    ]);
    const args = await readFile(one, "utf8");
    assert.match(args, /^build -mod=readonly .*-trimpath .*version\.gitVersion=v1\.35\.4 /);

    env["FAKE_FAILURE"] = "yes";
    assert.equal(await build(), one);
    const calls = await readFile(join(folder, "calls"), "utf8");
    assert.deepEqual(calls.match(/^build.*/gm), ["build CGO_ENABLED=0 GOTOOLCHAIN=local"]);
    assert.deepEqual(await readdir(join(one, "..")), [`kube-1.35.4-${source.hash}`]);
    assert.equal(await missingComponents({ ...env, FAKE_VERSION: "go1.20" }), undefined);
  });

  it("leaves nothing in the cache when its build fails, and tells the end of the output", async () => {
    env["FAKE_FAILURE"] = "yes";
    await assert.rejects(build(), {
      code: "KUBERNETES_UNAVAILABLE",
      message: "Cannot build Kubernetes 1.35.4: go build ended with exit status 1\ncompiling",
    });
    assert.deepEqual(await readdir(join(folder, "cache", "irsa-anywhere")), []);
  });

  it("is another when a source file differs", async () => {
    const files = join(folder, "source");
    await mkdir(files);
    const write = (name: string, text: string): Promise<void> => writeFile(join(files, name), text);
    await write("go.mod", "require k8s.io/kubernetes v1.36.0");
    await write("go.sum", "");
    await write("main.go", "package main");
    const one = await componentsSource(files);
    await write("main.go", "package main\n");
    const two = await componentsSource(files);
    assert.deepEqual([one.version, two.version], ["1.36.0", "1.36.0"]);
    assert.notEqual(one.hash, two.hash);
  });

  for (const [version, problem] of [
    ["go1.25", undefined],
    ["go1.26.8", undefined],
    ["go2.0", undefined],
    ["go1.24.9", /^Go 1\.25 or newer builds .*, and this machine has go1\.24\.9$/],
    ["go1.9", /has go1\.9$/],
  ] as const) {
    it(`${problem === undefined ? "takes" : "refuses"} ${version}`, async () => {
      const found = await goProblem(await componentsProgram(env), {
        ...env,
        FAKE_VERSION: version,
      });
      if (problem === undefined) assert.equal(found, undefined);
      else assert.match(found ?? "", problem);
    });
  }

  it("cannot be built without Go, which is said in one line", async () => {
    const without = { ...env, PATH: join(folder, "nothing") };
    const reason = await missingComponents(without);
    assert.match(reason ?? "", /^Go 1\.25 or newer builds .*, and this machine has none: .*$/);
    await assert.rejects(build(without), { message: reason });
  });

  it("is not needed with KUBEBUILDER_ASSETS, which names what is missing there", async () => {
    const assets = { ...env, KUBEBUILDER_ASSETS: join(folder, "bin") };
    await writeFile(join(folder, "bin", "etcd"), "", { mode: 0o755 });
    await writeFile(join(folder, "bin", "kubectl"), "", { mode: 0o644 });
    await assert.rejects(
      findComponents(["etcd", "kube-apiserver", "kubectl"], { env: assets, progress }),
      {
        code: "KUBERNETES_UNAVAILABLE",
        message:
          /KUBEBUILDER_ASSETS ".*\/bin": expected the executables kube-apiserver, kubectl in it$/,
      },
    );
    const commandOf = await findComponents(["etcd"], { env: assets, progress });
    assert.deepEqual(commandOf("etcd"), [join(folder, "bin", "etcd")]);
    assert.equal(await missingComponents(assets), undefined);
  });
});
