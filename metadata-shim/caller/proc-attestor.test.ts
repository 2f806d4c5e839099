import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { createProcFolder, type ProcFolder } from "../../test/fakes/proc-folder.ts";
import { createProcAttestor } from "./proc-attestor.ts";
import type { Flow } from "./socket-table.ts";

// Two pods and a node, each in a network namespace of its own that this test makes, on a bridge, as
// the bridge plugin of CNI builds it. Nothing in them has a way out.

const run = promisify(execFile);

/** What a machine needs for this; undefined when it has it. */
async function missingForNamespaces(): Promise<string | undefined> {
  try {
    await run("unshare", ["--net", "ip", "link", "add", "br0", "type", "bridge"]);
    return undefined;
  } catch {
    return "needs root, unshare and ip to make network namespaces";
  }
}

const A_UID = "aaaaaaaa-0000-4000-8000-000000000001";
const B_UID = "bbbbbbbb-0000-4000-8000-000000000002";
const NODE_ADDRESS = "10.1.0.1";
const A_ADDRESS = "10.1.0.2";
const B_ADDRESS = "10.1.0.3";

/** Listens and prints the remote end of each connection, which it keeps open. */
const SERVER = `
  require("node:net").createServer((socket) => {
    console.log(socket.remoteAddress + " " + socket.remotePort);
    socket.on("error", () => {});
  }).listen(8181, "0.0.0.0", () => console.log("listening"));
`;
/** Connects from an address and stays. */
const CLIENT = `
  const [localAddress] = process.argv.slice(1);
  const host = (localAddress.startsWith("::ffff:") ? "::ffff:" : "") + "${NODE_ADDRESS}";
  const socket = require("node:net").connect({ host, port: 8181, localAddress });
  socket.on("error", () => process.exit(1));
`;

const skip = (await missingForNamespaces()) ?? false;

const inside = (pid: number, ...command: readonly string[]) =>
  run("nsenter", ["--target", String(pid), "--net", ...command]);
const ip = (pid: number, text: string) => inside(pid, "ip", ...text.split(" "));

describe("createProcAttestor", { skip }, () => {
  const cleanUp = new AsyncDisposableStack();
  let proc: ProcFolder;
  let nextConnection: () => Promise<Flow>;
  let pidOf: Readonly<Record<"node" | "a" | "b", number>>;

  /** A process that keeps a new network namespace. */
  async function startNamespace(): Promise<number> {
    const child = spawn("unshare", ["--net", "sh", "-c", "echo ready; exec sleep 600"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    cleanUp.defer(() => void child.kill("SIGKILL"));
    await once(child.stdout, "data");
    return child.pid ?? assert.fail("It has no pid");
  }

  /** Connects out of a namespace, and resolves with the connection as the pod sees it. */
  async function connectFrom(pid: number, localAddress: string): Promise<Flow> {
    const connection = nextConnection();
    const command = ["--target", String(pid), "--net", process.execPath, "-e", CLIENT];
    const child = spawn("nsenter", [...command, localAddress], { stdio: "ignore" });
    cleanUp.defer(() => void child.kill("SIGKILL"));
    return connection;
  }

  before(async () => {
    proc = cleanUp.use(await createProcFolder());
    const [node, a, b] = [await startNamespace(), await startNamespace(), await startNamespace()];
    pidOf = { node, a, b };
    await ip(node, "link add br0 type bridge");
    await ip(node, `addr add ${NODE_ADDRESS}/24 dev br0`);
    await ip(node, "link set br0 up");
    for (const [pid, address] of [
      [a, A_ADDRESS],
      [b, B_ADDRESS],
    ] as const) {
      await ip(node, `link add veth${pid} type veth peer name eth0 netns ${pid}`);
      await ip(node, `link set veth${pid} master br0 up`);
      await ip(pid, `addr add ${address}/24 dev eth0`);
      await ip(pid, "link set eth0 up");
    }
    const command = ["--target", String(node), "--net", process.execPath, "-e", SERVER];
    const server = spawn("nsenter", command, { stdio: ["ignore", "pipe", "inherit"] });
    cleanUp.defer(() => void server.kill("SIGKILL"));
    const lines = createInterface(server.stdout)[Symbol.asyncIterator]();
    await lines.next();
    nextConnection = async () => {
      const { value } = await lines.next();
      const [localAddress = "", port = ""] = String(value).split(" ");
      const remotes = [
        { address: "169.254.169.254", port: 80 },
        { address: NODE_ADDRESS, port: 8181 },
      ];
      return { localAddress, localPort: Number(port), remotes };
    };
    await proc.show(a, `/kubepods/burstable/pod${A_UID}/sandbox`);
    await proc.show(b, `/kubepods/burstable/pod${B_UID}/sandbox`);
    await proc.show(node, "/system.slice/containerd.service");
  });
  after(() => cleanUp.disposeAsync());

  it("knows whose a connection is", async () => {
    const attestor = createProcAttestor(proc.path);
    const flow = await connectFrom(pidOf.a, A_ADDRESS);
    assert.equal(flow.localAddress, A_ADDRESS);
    assert.equal(await attestor.attest(A_UID, flow), "owned");
    assert.equal(await attestor.attest(B_UID, flow), "foreign");
  });

  it("knows one of a socket of IPv6, as some languages make it for IPv4 too", async () => {
    const attestor = createProcAttestor(proc.path);
    const flow = await connectFrom(pidOf.a, `::ffff:${A_ADDRESS}`);
    assert.equal(flow.localAddress, A_ADDRESS);
    const tables = ["tcp", "tcp6"].map((name) => readFile(`/proc/${pidOf.a}/net/${name}`, "utf8"));
    const port = `:${flow.localPort.toString(16).toUpperCase().padStart(4, "0")} `;
    const has = (await Promise.all(tables)).map((table) => table.includes(port));
    assert.deepEqual(has, [false, true]);
    assert.equal(await attestor.attest(A_UID, flow), "owned");
    assert.equal(await attestor.attest(B_UID, flow), "foreign");
  });

  it("knows a pod that takes the address of another on the bridge", async () => {
    const attestor = createProcAttestor(proc.path);
    // As a pod with NET_ADMIN does it: the address of a neighbour that is away, told by ARP.
    await inside(pidOf.a, "ip", "link", "set", "eth0", "down");
    await inside(pidOf.b, "ip", "addr", "add", `${A_ADDRESS}/24`, "dev", "eth0");
    await inside(pidOf.node, "ip", "neigh", "flush", "all");
    const flow = await connectFrom(pidOf.b, A_ADDRESS);
    assert.equal(flow.localAddress, A_ADDRESS);
    assert.equal(await attestor.attest(A_UID, flow), "foreign");
    await inside(pidOf.b, "ip", "addr", "del", `${A_ADDRESS}/24`, "dev", "eth0");
    await inside(pidOf.a, "ip", "link", "set", "eth0", "up");
  });

  it("knows that a connection is another pod's when the pod has no process left", async () => {
    const attestor = createProcAttestor(proc.path);
    const flow = await connectFrom(pidOf.b, B_ADDRESS);
    const gone = "cccccccc-0000-4000-8000-000000000003";
    assert.equal(await attestor.attest(gone, flow), "foreign");
  });

  it("knows nothing of a connection that no pod on this node has", async () => {
    const attestor = createProcAttestor(proc.path);
    const gone = "cccccccc-0000-4000-8000-000000000003";
    const flow = { localAddress: "10.1.0.9", localPort: 4242, remotes: [] };
    assert.equal(await attestor.attest(gone, flow), "unseen");
  });

  it("finds a pod that came later, and asks its first process", async () => {
    const attestor = createProcAttestor(proc.path);
    const flow = await connectFrom(pidOf.b, B_ADDRESS);
    assert.equal(await attestor.attest(B_UID, flow), "owned");
    const late = "dddddddd-0000-4000-8000-000000000004";
    assert.equal(await attestor.attest(late, flow), "foreign");
    const [first, second] = [await startNamespace(), await startNamespace()];
    await proc.show(first, `/kubepods/pod${late}/sandbox`, 200);
    // A namespace of its own within the pod, as a process that may make one can have it.
    await proc.show(second, `/kubepods/pod${late}/app`, 300);
    assert.equal(await attestor.attest(late, flow), "foreign");
    await proc.show(await startNamespace(), `/kubepods/pod${B_UID}/app`, 300);
    assert.equal(await attestor.attest(B_UID, flow), "owned");
  });

  it("does not take a process for the pod whose number it has got", async () => {
    const attestor = createProcAttestor(proc.path);
    const flow = await connectFrom(pidOf.b, B_ADDRESS);
    assert.equal(await attestor.isThere(B_UID), false);
    assert.equal(await attestor.attest(B_UID, flow), "owned");
    assert.equal(await attestor.isThere(B_UID), true);
    await writeFile(join(proc.path, String(pidOf.b), "cgroup"), "0::/system.slice/cron.service\n");
    assert.equal(await attestor.isThere(B_UID), false);
    assert.notEqual(await attestor.attest(B_UID, flow), "owned");
  });
});
