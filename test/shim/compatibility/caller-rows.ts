import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { METADATA_IPV6, NODE_ADDRESS, ROLE_LIST } from "../shim-world.ts";
import { until } from "../../fakes/until.ts";
import { credentialsIn } from "../replies.ts";
import { compatibilityRowsInto, type CompatibilityRow } from "./compatibility-row.ts";

/** Which pod an address is. */
export const compatibilityCallerRows: CompatibilityRow[] = [];
const row = compatibilityRowsInto(compatibilityCallerRows);

const UNKNOWN = {
  strict: "404 No pod of this node has this address",
  kube2iam: '404 pod with specificed IP "ADDRESS" not found⏎',
  kiam: "500 rpc error: code = Unknown desc = pod not found⏎",
};
const A_IPV6 = "fd01::2";

row("C11", "an address that nobody has", UNKNOWN, async (stage) =>
  stage.list({ address: stage.newAddress() }),
);
row("C12", "a pod that appears 300 ms after its request", "200 app-role", async (stage) => {
  // The node is read live at most every 5 s, so that the pod has to be waited for.
  void stage.list({ address: stage.newAddress() });
  const address = stage.newAddress();
  const asking = stage.list({ address });
  await sleep(300);
  stage.pod({ role: "app-role", addresses: [address] });
  return asking;
});
row("C13", "the address of a pod that has ended", UNKNOWN, async (stage) => {
  const asking = ["Succeeded", "Failed"].map((phase) =>
    stage.list(stage.pod({ role: "app-role", phase })),
  );
  const [one, two] = await Promise.all(asking);
  assert.equal(one, two);
  return one ?? "";
});
row("C14", "a pod that has ended, and one that runs", "200 app-role", async (stage) => {
  const { address } = stage.pod({ role: "other-role", phase: "Succeeded" });
  return stage.list(stage.pod({ role: "app-role", addresses: [address] }));
});
row(
  "C15",
  "two pods that run; one on the host's network counts for nothing",
  {
    strict:
      "503 More than one pod has this address, AmbiguousAddress AmbiguousAddress, 200 app-role",
    kube2iam:
      "404 2 pods ([ns/twin-1 ns/twin-2]) with the ip ADDRESS indexed⏎, AmbiguousAddress AmbiguousAddress, 200 app-role",
    kiam: "500 rpc error: code = Unknown desc = multiple running pods found⏎, AmbiguousAddress AmbiguousAddress, 200 app-role",
  },
  async (stage) => {
    const twin = stage.pod({ role: "app-role", name: "twin-1" });
    const other = stage.pod({ role: "app-role", name: "twin-2", addresses: [twin.address] });
    const answer = await stage.list(twin);
    const reasons = [await stage.events(twin, 1), await stage.events(other, 1)].join(" ");
    const own = stage.pod({ role: "app-role" });
    const { address } = own;
    stage.pod({ role: "other-role", hostNetwork: true, addresses: [address] });
    stage.pod({ role: "other-role", hostNetwork: true, addresses: [NODE_ADDRESS] });
    return `${answer}, ${reasons}, ${await stage.list(own)}`;
  },
);
row("C16", "a pod that is Pending and has its address", "200 app-role", async (stage) =>
  stage.list(stage.pod({ role: "app-role", phase: "Pending" })),
);
row("C17", "a pod in place of one whose end was missed", "200 app-role", async (stage) => {
  const { api } = stage.world;
  const gone = stage.pod({ role: "other-role" });
  assert.equal(await stage.list(gone), "200 other-role");
  const { watching } = api;
  api.holdWatches();
  stage.world.removePod(gone.name);
  const pod = stage.pod({ role: "app-role", addresses: [gone.address] });
  api.cutWatches();
  api.releaseWatches();
  const answer = await stage.list(pod);
  // They come back after a pause, and the rows after this one need them.
  await until("all shims watch again", () => api.watching === watching);
  return answer;
});
row("C18", "a pod that is told to end and asks on", "200 app-role", async (stage) =>
  stage.list(stage.pod({ role: "app-role", deletionTimestamp: "2026-01-01T00:00:00Z" })),
);
row("C37", "a pod of another node", UNKNOWN, async (stage) =>
  stage.list(stage.pod({ role: "app-role", nodeName: "node-2" })),
);
row("C39", "a pod of both families", "200 the same by IPv6", async (stage) => {
  const address = stage.newAddress();
  const pod = stage.pod({ role: "app-role", addresses: [address, A_IPV6] });
  const own = credentialsIn(await stage.read(pod, `${ROLE_LIST}/app-role`));
  const reply = await stage.read({ address: A_IPV6 }, `${ROLE_LIST}/app-role`, {
    host: METADATA_IPV6,
  });
  const isSame = credentialsIn(reply).AccessKeyId === own.AccessKeyId;
  return `${reply.status} ${isSame ? "the same" : "another"} by IPv6`;
});
