import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { stateWith } from "../test/fakes/key-state.ts";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import { formatKeyState } from "./key-state-text.ts";
import { createStateFile } from "./state-file.ts";

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-issuer-"));
  t.after(async () => {
    await chmod(folder, 0o700);
    await rm(folder, { recursive: true });
  });
  return folder;
}

function createStore(file: string) {
  const { log, lines } = createCollectedLog();
  const clock = createMovedClock();
  return { store: createStateFile(file, { clock, log }), lines };
}

describe("createStateFile", () => {
  it("has nothing at first, and after a restart what was saved", async (t) => {
    const file = join(await temporaryFolder(t), "deep/state.json");
    const { store } = createStore(file);
    assert.equal(await store.load(), undefined);
    const state = stateWith("a", "b");
    assert.equal(await store.save(state), undefined);
    assert.deepEqual(await createStore(file).store.load(), state);
    assert.equal((await stat(file)).mode & 0o777, 0o644);
  });

  it("leaves no temporary file, and one whole file after many saves", async (t) => {
    const folder = await temporaryFolder(t);
    const { store } = createStore(join(folder, "state.json"));
    for (const kid of ["a", "b", "c"]) await store.save(stateWith(kid));
    assert.deepEqual(await readdir(folder), ["state.json"]);
  });

  for (const [name, text] of [
    ["cut off", formatKeyState(stateWith("a")).slice(0, 100)],
    ["empty", ""],
  ] as const) {
    it(`puts a file aside that is ${name}, and starts without it`, async (t) => {
      const folder = await temporaryFolder(t);
      const file = join(folder, "state.json");
      await writeFile(file, text);
      const { store, lines } = createStore(file);
      assert.equal(await store.load(), undefined);
      await store.save(stateWith("b"));
      const aside = "state.json.corrupt-2026-01-01T00-00-00.000Z";
      assert.deepEqual((await readdir(folder)).toSorted(), ["state.json", aside]);
      assert.equal(await readFile(join(folder, aside), "utf8"), text);
      assert.deepEqual(
        lines.map(({ msg }) => msg),
        ["Put the unusable state file aside"],
      );
    });
  }

  it("takes in what a file holds that could not be read before, when it saves", async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, "state.json");
    // In place of a file without the right to read it, which root has anyway.
    await mkdir(file);
    const { store } = createStore(file);
    await assert.rejects(store.load(), { code: "STORE_INVALID", message: /Cannot read the state/ });
    await assert.rejects(store.save(stateWith("a")), { code: "STORE_INVALID" });
    await rm(file, { recursive: true });
    await writeFile(file, formatKeyState(stateWith("old")));
    const others = await store.save(stateWith("new"));
    assert.deepEqual(
      others?.keys.map(({ jwk }) => jwk.kid),
      ["old"],
    );
    const saved = await createStore(file).store.load();
    assert.deepEqual(
      saved?.keys.map(({ jwk }) => jwk.kid),
      ["new", "old"],
    );
  });

  it("keeps the old file when a new one cannot be written", async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, "state.json");
    const { store } = createStore(file);
    const state = stateWith("a");
    await store.save(state);
    // A folder in the file's place cannot be replaced by a file, whoever tries.
    await rm(file);
    await mkdir(join(file, "inside"), { recursive: true });
    await assert.rejects(store.save(stateWith("b")), {
      code: "STORE_INVALID",
      message: /Cannot write the state file/,
    });
    assert.deepEqual(await readdir(folder), ["state.json"]);
    assert.deepEqual(await readdir(file), ["inside"]);
  });
});
