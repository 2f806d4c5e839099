import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { connect } from "node:tls";
import { startAws } from "./start-aws.ts";

describe("the stand-in's certificate", () => {
  for (const [name, isFor] of [
    ["localhost", true],
    ["sts.example.test", true],
    ["iam.example.test", false],
  ] as const) {
    it(`is ${isFor ? "" : "not "}for ${name} when it was asked for sts.example.test`, async () => {
      await using aws = await startAws({ hostNames: ["sts.example.test"] });
      const port = Number(new URL(aws.sts).port);
      const socket = connect({ host: "127.0.0.1", port, servername: name, ca: aws.caPem });
      try {
        const shaken = once(socket, "secureConnect");
        if (isFor) await shaken;
        else await assert.rejects(shaken, { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
      } finally {
        socket.destroy();
      }
    });
  }
});
