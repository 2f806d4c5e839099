import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Command } from "commander";
import { z } from "zod";
import { defineConfig, ignored, integer, list, toggle, value, whichGiven } from "./config.ts";

const reader = defineConfig(
  {
    port: value("port", integer({ min: 0, max: 65_535, fallback: 443 }), "Port to listen on"),
    region: value("aws-default-region", z.string().default(""), "Region"),
    watch: toggle("watch", true, "Whether to watch"),
    servers: list("server", z.string().startsWith("https://", "expected an https URL"), "Server"),
  },
  ({ port, region }) =>
    port === 1 && region === "" ? ["--port 1 needs --aws-default-region"] : [],
);

describe("defineConfig", () => {
  it("prefers flags over environment over defaults", () => {
    const env = {
      IRSA_PORT: "2",
      IRSA_AWS_DEFAULT_REGION: "eu-west-1",
      IRSA_SERVER: "https://a, https://b",
    };
    assert.deepEqual(reader.parse(["--port", "3"], env), {
      port: 3,
      region: "eu-west-1",
      watch: true,
      servers: ["https://a", "https://b"],
    });
  });

  for (const [argv, watch] of [
    [[], true],
    [["--watch"], true],
    [["--watch=false"], false],
    [["--watch=F"], false],
    [["--watch=1"], true],
  ] as const) {
    it(`reads the switch ${argv.join(" ") || "that is absent"} as ${watch}`, () => {
      assert.equal(reader.parse(argv, {}).watch, watch);
    });
  }

  it("leaves the word behind a switch alone unless it is a boolean", () => {
    const command = reader.addTo(new Command().argument("[words...]")).exitOverride();
    command.parse(["--watch", "agent"], { from: "user" });
    assert.deepEqual([command.args, reader.read(command, {}).watch], [["agent"], true]);
    command.parse(["--watch", "false", "agent"], { from: "user" });
    assert.deepEqual([command.args, reader.read(command, {}).watch], [["agent"], false]);
    command.parse(["--aws-default-region", "--watch", "a", "--", "--watch"], { from: "user" });
    assert.deepEqual(command.args, ["a", "--watch"]);
    assert.equal(reader.read(command, {}).region, "--watch");
  });

  it("takes --no-flag for a switch that may be negated, and for no other", () => {
    const negatable = defineConfig({
      remove: toggle("remove", true, "Removes", { negatable: true }),
    });
    assert.equal(negatable.parse([], {}).remove, true);
    assert.equal(negatable.parse(["--no-remove"], {}).remove, false);
    assert.equal(negatable.parse(["--no-remove"], { IRSA_REMOVE: "true" }).remove, false);
    assert.equal(negatable.parse(["--no-remove", "--remove"], {}).remove, true);
    assert.doesNotMatch(negatable.addTo(new Command()).helpInformation(), /--no-remove/);
    assert.throws(() => reader.parse(["--no-watch"], {}), { code: "CONFIG_INVALID" });
  });

  it("collects a flag given several times", () => {
    const { servers } = reader.parse(["--server", "https://a", "--server=https://b"], {});
    assert.deepEqual(servers, ["https://a", "https://b"]);
  });

  it("names every bad value at once, with where it came from", () => {
    const message = messageOf(["--port", "70000", "--watch=maybe"], { IRSA_SERVER: "http://a" });
    assert.match(message, /--port "70000": expected an integer from 0 to 65535/);
    assert.match(message, /--watch "maybe": expected true or false/);
    assert.match(message, /IRSA_SERVER \["http:\/\/a"\]: expected an https URL/);
  });

  for (const text of ["0", "65535"]) {
    it(`takes the bound ${text}`, () =>
      assert.equal(reader.parse(["--port", text], {}).port, +text));
  }
  for (const text of ["-1", "65536", "1e3", "", "8 "]) {
    it(`refuses ${JSON.stringify(text)} as a port`, () => {
      assert.match(messageOf([`--port=${text}`], {}), /--port/);
    });
  }

  it("applies rules across fields", () => {
    assert.match(messageOf(["--port", "1"], {}), /--port 1 needs --aws-default-region/);
  });

  it("refuses an unknown flag", () => {
    assert.match(messageOf(["--prot", "1"], {}), /unknown option '--prot'/);
  });

  it("tells which settings were given, whatever their values", () => {
    const telling = defineConfig({
      given: whichGiven(["port", "aws-default-region"]),
      port: value("port", integer({ min: 0, fallback: 443 }), "Port"),
      region: value("aws-default-region", z.string().default(""), "Region"),
    });
    assert.deepEqual(telling.parse([], {}).given, []);
    assert.deepEqual(telling.parse(["--port=443"], {}).given, ["port"]);
    const env = { IRSA_PORT: "1", IRSA_AWS_DEFAULT_REGION: "" };
    assert.deepEqual(telling.parse([], env).given, ["port", "aws-default-region"]);
    assert.doesNotMatch(telling.addTo(new Command()).helpInformation(), /given/);
  });

  describe("ignored flags", () => {
    const drop = defineConfig({
      klog: ignored(["-v, --v <level>", "--logtostderr [value]", "--log_dir <path>"]),
    });
    for (const [argv, given] of [
      [[], []],
      [
        ["-v=3", "--logtostderr"],
        ["--v", "--logtostderr"],
      ],
      [["-v", "3"], ["--v"]],
      [
        ["--v=3", "--log_dir=/tmp", "--logtostderr=false"],
        ["--v", "--logtostderr", "--log_dir"],
      ],
    ] as const) {
      it(`lists those of ${JSON.stringify(argv)}`, () => {
        assert.deepEqual(drop.parse(argv, {}).klog, given);
      });
    }

    it("keeps them out of the help", () => {
      assert.doesNotMatch(drop.addTo(new Command()).helpInformation(), /logtostderr/);
    });
  });

  it("writes default and environment variable into the help", () => {
    const help = reader.addTo(new Command()).helpInformation().replaceAll(/\s+/g, " ");
    assert.match(help, /--port <value> Port to listen on \(default: 443, env: IRSA_PORT\)/);
    assert.match(help, /--watch \[boolean\]/);
  });
});

function messageOf(argv: readonly string[], env: Record<string, string>): string {
  try {
    reader.parse(argv, env);
  } catch (err) {
    assert.equal((err as { code?: string }).code, "CONFIG_INVALID");
    return (err as Error).message;
  }
  return assert.fail("expected the config to be refused");
}
