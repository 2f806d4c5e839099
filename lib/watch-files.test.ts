import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createMovedClock, type MovedClock } from "../test/fakes/moved-clock.ts";
import { until } from "../test/fakes/until.ts";
import { watchFiles, type FileContents } from "./watch-files.ts";

const POLL_MS = 1000;

interface Watching {
  readonly initial: FileContents;
  readonly clock: MovedClock;
  /** Contents and errors told, in order. */
  readonly told: readonly string[];
  readonly stop: AbortController;
  /** Moves the clock to the next poll, and waits for the end of it. */
  readonly poll: () => Promise<void>;
}

/** Contents with the word `bad` in them are not usable. */
async function watch(
  paths: readonly string[],
  read?: (path: string) => Promise<string>,
): Promise<Watching> {
  const clock = createMovedClock();
  const stop = new AbortController();
  const told: string[] = [];
  const initial = await watchFiles(paths, {
    clock,
    pollMs: POLL_MS,
    signal: stop.signal,
    read,
    onChange(contents) {
      const text = contents.join("|");
      if (text.includes("bad")) throw new Error(`unusable ${text}`);
      told.push(text);
    },
    onError: (err) => told.push(String(err).replace(/ENOENT.*/, "ENOENT")),
  });
  return {
    initial,
    clock,
    told,
    stop,
    async poll() {
      await until("it sleeps", () => clock.sleepers().length === 1);
      clock.advance(POLL_MS);
      await until("it sleeps again", () => clock.sleepers().length === 1);
    },
  };
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-watch-files-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes files the way kubelet mounts a Secret, replacing all of them at one stroke. */
async function mount(
  folder: string,
  version: string,
  files: Record<string, string>,
): Promise<void> {
  const data = join(folder, `..${version}`);
  await mkdir(data);
  for (const [name, text] of Object.entries(files)) await writeFile(join(data, name), text);
  await symlink(`..${version}`, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
}

describe("watchFiles", () => {
  it("gives the contents at the start, and tells each change once", async (t) => {
    const file = join(await temporaryFolder(t), "file");
    await writeFile(file, "1");
    const { initial, told, poll } = await watch([file]);
    await poll();
    assert.deepEqual([initial, told], [["1"], []]);
    await writeFile(file, "2");
    await poll();
    await poll();
    assert.deepEqual(told, ["2"]);
  });

  it("polls at its interval, not before", async (t) => {
    const file = join(await temporaryFolder(t), "file");
    await writeFile(file, "1");
    const { clock } = await watch([file]);
    clock.advance(POLL_MS - 1);
    assert.deepEqual(clock.sleepers(), [1]);
  });

  it("follows the swap of the ..data symlink, as kubelet does it", async (t) => {
    const folder = await temporaryFolder(t);
    await mount(folder, "1", { cert: "cert-1", key: "key-1" });
    const paths = ["cert", "key"].map((name) => join(folder, name));
    for (const path of paths) await symlink(join("..data", path.slice(folder.length + 1)), path);
    const { initial, told, poll } = await watch(paths);
    assert.deepEqual(initial, ["cert-1", "key-1"]);
    await mount(folder, "2", { cert: "cert-2", key: "key-2" });
    await rm(join(folder, "..1"), { recursive: true });
    await poll();
    assert.deepEqual(told, ["cert-2|key-2"]);
  });

  it("tells an unusable content once, and takes the next good one", async (t) => {
    const file = join(await temporaryFolder(t), "file");
    await writeFile(file, "1");
    const { told, poll } = await watch([file]);
    for (const text of ["bad 2", "bad 2", "bad 3", "1", "4"]) {
      await writeFile(file, text);
      await poll();
      await poll();
    }
    assert.deepEqual(told, ["Error: unusable bad 2", "Error: unusable bad 3", "1", "4"]);
  });

  it("tells once that a file is gone, and takes it when it is back", async (t) => {
    const file = join(await temporaryFolder(t), "file");
    await writeFile(file, "1");
    const { told, poll } = await watch([file]);
    for (const text of [undefined, "1", undefined, "2"]) {
      if (text === undefined) await rm(file);
      else await writeFile(file, text);
      await poll();
      await poll();
    }
    // Back with the content that is known already is no news.
    assert.deepEqual(told, ["Error: ENOENT", "Error: ENOENT", "2"]);
  });

  it("throws when a file cannot be read at the start, and watches nothing then", async () => {
    const clock = createMovedClock();
    const settings = {
      clock,
      pollMs: POLL_MS,
      signal: new AbortController().signal,
      onChange: () => assert.fail("nothing to tell"),
      onError: () => assert.fail("nothing to tell"),
    };
    await assert.rejects(watchFiles([join(tmpdir(), "irsa-absent")], settings), { code: "ENOENT" });
    assert.deepEqual(clock.sleepers(), []);
  });

  it("stops when its signal aborts", async (t) => {
    const file = join(await temporaryFolder(t), "file");
    await writeFile(file, "1");
    const { told, clock, stop } = await watch([file]);
    await writeFile(file, "2");
    stop.abort();
    await until("it is over", () => clock.sleepers().length === 0);
    clock.advance(POLL_MS);
    assert.deepEqual([told, clock.sleepers()], [[], []]);
  });

  it("never mixes files from before a swap with those from after it", async () => {
    const read = scripted(["a1", "b1"], ["a1", "b1"], ["a1", "b2"], ["a2", "b2"], ["a2", "b2"]);
    const { told, poll } = await watch(["a", "b"], read);
    await poll();
    assert.deepEqual(told, ["a2|b2"]);
  });

  it("does not start with a mixture either", async () => {
    const { initial } = await watch(["a", "b"], scripted(["a1", "b2"], ["a2", "b2"], ["a2", "b2"]));
    assert.deepEqual(initial, ["a2", "b2"]);
  });

  it("tells files that never stay the same, and keeps what it had", async () => {
    let reads = 0;
    const { initial, told, poll } = await watch(["a"], async () => {
      reads += 1;
      return reads <= 2 ? "1" : String(reads);
    });
    await poll();
    assert.deepEqual(initial, ["1"]);
    assert.deepEqual(told, ["Error: Cannot read a: expected contents that stay the same"]);
  });
});

/** Reads of the files `a` and `b`, one pair after the other; the last one stays. */
function scripted(
  ...pairs: readonly (readonly [string, string])[]
): (path: string) => Promise<string> {
  const reads = { a: 0, b: 0 };
  return async (path) => {
    const name = path === "a" ? "a" : "b";
    const pair = pairs[Math.min(reads[name], pairs.length - 1)];
    reads[name] += 1;
    return pair?.[name === "a" ? 0 : 1] ?? "";
  };
}
