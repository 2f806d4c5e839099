import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { Command } from "commander";
import { until } from "../../test/fakes/until.ts";
import { addIssuer } from "./issuer.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "irsa-issuer-"));
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  await writeFile(join(folder, "sa.pub"), publicKey.export({ type: "spki", format: "pem" }));
});
after(() => rm(folder, { recursive: true }));

const MINIMAL = { IRSA_ISSUER: "https://oidc.example.com", IRSA_HOST: "127.0.0.1" };

function run(flags: readonly string[], signal = new AbortController().signal) {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()));
      done();
    },
  });
  const irsa = new Command("irsa").exitOverride();
  const io = { stdin: Readable.from([]), stdout: output, stderr: output };
  addIssuer(irsa, { env: MINIMAL, ...io, signal });
  return { lines, ended: irsa.parseAsync(["issuer", ...flags], { from: "user" }) };
}

describe("irsa issuer", () => {
  it("runs until it is told to stop, then lets go of its ports", async () => {
    const stop = new AbortController();
    const keyFile = join(folder, "sa.pub");
    const flags = ["--key-file", keyFile, "--port", "0", "--metrics-port", "0"];
    const { lines, ended } = run(flags, stop.signal);
    await until("it has keys", () => lines.some(({ msg }) => msg === "Added keys"));
    const { port } = lines.find(({ msg }) => msg === "Listening") ?? {};
    const url = `http://127.0.0.1:${String(port)}/openid/v1/jwks`;
    assert.equal((await fetch(url)).status, 421);
    stop.abort("SIGTERM");
    await ended;
    assert.deepEqual(
      lines.filter(({ msg }) => msg === "Draining").map(({ signal }) => signal),
      ["SIGTERM"],
    );
    await assert.rejects(fetch(url));
  });

  it("publishes once and ends", async () => {
    const dir = join(folder, "site");
    await run(["--key-file", join(folder, "sa.pub"), "--publish-dir", dir, "--once"]).ended;
    const { jwks_uri: jwksUri } = JSON.parse(
      await readFile(join(dir, ".well-known/openid-configuration"), "utf8"),
    ) as { jwks_uri: string };
    assert.equal(jwksUri, "https://oidc.example.com/openid/v1/jwks");
    const jwks = await readFile(join(dir, "openid/v1/jwks"), "utf8");
    assert.match(jwks, /^\{"keys":\[\{"use":"sig","kty":"EC"/);
  });

  for (const [name, flags, code, message] of [
    ["no source and no cluster", ["--kubeconfig", "absent"], "CONFIG_INVALID", /"absent"/],
    [
      "no key to publish",
      ["--key-file", "missing.pem", "--publish-dir", "unused", "--once"],
      "PUBLISH_REFUSED",
      /no source gives a key: file:missing\.pem: Cannot read the key file/,
    ],
    [
      "no cluster to ask",
      ["--discover-api-servers", "--kubeconfig", "missing-kubeconfig"],
      "CONFIG_INVALID",
      /missing-kubeconfig/,
    ],
  ] as const) {
    it(`ends with the reason when there is ${name}`, async () => {
      await assert.rejects(run(flags).ended, { code, message });
    });
  }
});
