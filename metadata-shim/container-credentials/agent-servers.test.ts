import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { listen } from "../../lib/http.ts";
import { ask } from "../../test/fakes/ask.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { until } from "../../test/fakes/until.ts";
import { startAgentServers } from "./agent-servers.ts";

describe("servers of container credentials", () => {
  it("serve each address as soon as it can be bound, and say once why it cannot", async () => {
    await using stack = new AsyncDisposableStack();
    const other = await listen(() => {}, { port: 0, host: "127.0.0.2", drainMs: 0 });
    stack.use(other);
    const { port } = other;
    const clock = createMovedClock();
    const { log, lines } = createCollectedLog();
    const servers = stack.use(
      startAgentServers((_req, res) => res.end("agent"), {
        hosts: ["127.0.0.2", "127.0.0.3"],
        port,
        drainMs: 100,
        onRefusedConnection: () => {},
        clock,
        log,
      }),
    );
    await until("one serves and the other waits", () => servers.ports.size === 1 && waits(clock));
    assert.equal((await ask({ host: "127.0.0.3", port, path: "/" })).body, "agent");
    clock.advance(10_000);
    await until("it waits again", () => waits(clock));

    await other[Symbol.asyncDispose]();
    clock.advance(10_000);
    await until("both serve", () => servers.ports.size === 2);
    assert.equal((await ask({ host: "127.0.0.2", port, path: "/" })).body, "agent");
    const warnings = lines.filter(({ msg }) => msg === "Cannot serve container credentials yet");
    assert.deepEqual(
      warnings.map(({ host }) => host),
      ["127.0.0.2"],
    );
  });

  it("stop also while they wait", async () => {
    await using other = await listen(() => {}, { port: 0, host: "127.0.0.2", drainMs: 0 });
    const clock = createMovedClock();
    const { log } = createCollectedLog();
    const servers = startAgentServers(() => {}, {
      hosts: ["127.0.0.2"],
      port: other.port,
      drainMs: 100,
      onRefusedConnection: () => {},
      clock,
      log,
    });
    await until("it waits", () => waits(clock));
    await servers[Symbol.asyncDispose]();
    assert.equal(servers.ports.size, 0);
  });
});

function waits(clock: { sleepers(): readonly number[] }): boolean {
  return clock.sleepers().length === 1;
}
