import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

// npm runs a script in a shell, and a signal that npm is sent must get to the program behind it.

const root = fileURLToPath(new URL("../../", import.meta.url));

describe("npm run aws", () => {
  it("takes the program down with it on SIGTERM", async () => {
    const npm = spawn("npm", ["run", "--silent", "aws", "--", "--port", "0"], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(npm, "exit");
    const [line] = (await once(createInterface(npm.stdout), "line")) as [string];
    const { ca } = JSON.parse(line) as { ca: string };
    assert.ok(existsSync(ca));
    npm.kill("SIGTERM");
    await exited;
    // The program removes its certificate as it ends, which npm may not wait for.
    for (let tries = 0; existsSync(ca) && tries < 100; tries += 1) await sleep(100);
    assert.ok(!existsSync(ca), "the program goes on 10 s after npm has ended");
  });
});
