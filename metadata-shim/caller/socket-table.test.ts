import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hasSocket, type Flow } from "./socket-table.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const REST =
  "00000000:00000000 02:00000100 00000000     0        0 4242 2 0000000000000000 20 4 30";

function table(...sockets: readonly string[]): Buffer {
  return Buffer.from(HEAD + sockets.map((socket, i) => `   ${i}: ${socket} ${REST}\n`).join(""));
}

// 10.1.0.2:43210 to 169.254.169.254:80
const V4 = "0200010A:A8CA FEA9FEA9:0050";
const flow: Flow = {
  localAddress: "10.1.0.2",
  localPort: 43_210,
  remotes: [
    { address: "169.254.169.254", port: 80 },
    { address: "10.1.0.1", port: 8181 },
  ],
};

function mapped(socket: string): string {
  const [local, remote, state] = socket.split(" ");
  const prefix = "0000000000000000FFFF0000";
  return `${prefix}${local} ${prefix}${remote} ${state}`;
}

describe("hasSocket", () => {
  it("finds one that is mapped into IPv6 as one that is not", () =>
    assert.equal(hasSocket(table(mapped(`${V4} 01`)), flow), true));

  it("finds an established connection", () => {
    assert.equal(hasSocket(table("00000000:0016 00000000:0000 0A", `${V4} 01`), flow), true);
  });

  it("finds one that goes to the other remote end", () => {
    assert.equal(hasSocket(table("0200010A:A8CA 0100010A:1FF5 01"), flow), true);
  });

  it("finds one whose client has already said all", () => {
    assert.equal(hasSocket(table(`${V4} 04`), flow), true);
    assert.equal(hasSocket(table(`${V4} 05`), flow), true);
  });

  it("finds one behind others from the same port", () => {
    const others = ["0200010A:A8CA 0500010A:01BB 01", `${V4} 06`];
    assert.equal(hasSocket(table(...others, `${V4} 01`), flow), true);
  });

  it("finds one with a low port, and in a long table", () => {
    const low = { ...flow, localPort: 53 };
    const line = ` 12345: 0200010A:0035 FEA9FEA9:0050 01 ${REST}\n`;
    assert.equal(hasSocket(Buffer.from(HEAD + line), low), true);
    assert.equal(hasSocket(Buffer.from(HEAD + line), { ...flow, localPort: 0x35 + 0x1000 }), false);
  });

  it("finds one of IPv6", () => {
    // [fd00::2]:43210 to [fd00:ec2::254]:80
    const local = "000000FD000000000000000002000000:A8CA";
    const remote = "C20E00FD000000000000000054020000:0050";
    const v6 = {
      localAddress: "fd00::2",
      localPort: 43_210,
      remotes: [{ address: "fd00:ec2::254", port: 80 }],
    };
    assert.equal(hasSocket(table(`${local} ${remote} 01`), v6), true);
  });

  const others: readonly (readonly [name: string, socket: string])[] = [
    ["another address of its own", "0300010A:A8CA FEA9FEA9:0050 01"],
    ["another port of its own", "0200010A:A8CB FEA9FEA9:0050 01"],
    ["another remote address", "0200010A:A8CA FDA9FEA9:0050 01"],
    ["another remote port", "0200010A:A8CA FEA9FEA9:0051 01"],
    ["the port of the other remote end", "0200010A:A8CA FEA9FEA9:1FF5 01"],
    ["a connection that is only asked for", `${V4} 02`],
    ["one that has ended", `${V4} 06`],
    ["one that listens", "0200010A:A8CA 00000000:0000 0A"],
    ["the other way round", "FEA9FEA9:0050 0200010A:A8CA 01"],
    [
      "an IPv6 address that ends like it",
      "9BFF640000000000000000000200010A:A8CA 9BFF64000000000000000000FEA9FEA9:0050 01",
    ],
    ...[
      "0300010A:A8CA FEA9FEA9:0050 01",
      "0200010A:A8CA FDA9FEA9:0050 01",
      `${V4} 06`,
      `${V4} 0A`,
    ].map((socket) => [`${socket}, mapped into IPv6,`, mapped(socket)] as const),
    ["a line that is none", "nonsense"],
  ];
  for (const [name, socket] of others) {
    it(`does not take ${name} for it`, () => assert.equal(hasSocket(table(socket), flow), false));
  }

  it("finds nothing in an empty table", () =>
    assert.equal(hasSocket(Buffer.alloc(0), flow), false));
});
