import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { findsApiServers, issuerConfig } from "./config.ts";
import { FILTER_REASONS } from "./jwk.ts";
import { POLL_FAILURES } from "./key-source.ts";
import { createMetrics } from "./metrics.ts";

/** The page for operators names everything that there is to name. */
describe("docs/issuer.md", async () => {
  const page = await readFile(new URL("../docs/issuer.md", import.meta.url), "utf8");
  const registry = new Registry();
  createMetrics(registry, () => 0);

  for (const name of [
    ...Object.values(issuerConfig.settings).map(({ flag }) => `--${flag}`),
    ...registry.getMetricsAsArray().map((metric) => metric.name),
    ...FILTER_REASONS,
    ...POLL_FAILURES,
  ]) {
    it(`explains ${name}`, () => assert.ok(page.includes(`\`${name}\``)));
  }

  it("says the defaults of numbers", () => {
    for (const { flag, defaultText } of Object.values(issuerConfig.settings)) {
      if (!/^\d+$/.test(defaultText ?? "")) continue;
      const row = page
        .split("\n")
        .find((line) => line.startsWith("|") && line.includes(`\`--${flag}\``));
      assert.ok(row?.includes(`\`${defaultText}\``), `--${flag} is ${defaultText}`);
    }
  });
});

const minimal = ["--issuer", "https://oidc.example.com/prod", "--key-file", "sa.pub"];

describe("findsApiServers", () => {
  for (const [flags, finds] of [
    [[], true],
    [["--key-file", "sa.pub"], false],
    [["--api-server", "https://10.0.0.1:6443"], false],
    [["--key-file", "sa.pub", "--discover-api-servers"], true],
  ] as const) {
    it(`is ${finds} with ${flags.join(" ") || "no source given"}`, () => {
      assert.equal(
        findsApiServers(issuerConfig.parse([...minimal.slice(0, 2), ...flags], {})),
        finds,
      );
    });
  }
});

describe("issuerConfig", () => {
  it("needs an issuer, and has a default for all else", () => {
    assert.deepEqual(issuerConfig.parse(minimal, {}), {
      issuer: "https://oidc.example.com/prod",
      discoverApiServers: false,
      apiServers: [],
      apiServerName: "",
      keyFiles: ["sa.pub"],
      kubeconfig: "",
      kubeApi: "",
      pollSeconds: 30,
      retireAfterSeconds: 93_600,
      retireKids: [],
      stateFile: "",
      stateConfigMap: "",
      publishDir: "",
      once: false,
      serve: true,
      host: "",
      port: undefined,
      metricsPort: 9999,
      tlsCert: "",
      tlsKey: "",
      allowedHosts: [],
      discoveryMaxAgeSeconds: 3600,
      jwksMaxAgeSeconds: 300,
      jwksStaleIfErrorSeconds: 86_400,
      drainSeconds: 10,
      logLevel: "info",
    });
  });

  it("names three bad values at once", () => {
    const argv = ["--issuer", "http://H.example/", "--key-file", "a", "--poll-seconds", "0"];
    const message = messageOf([...argv, "--jwks-max-age-seconds", "no-cache"]);
    assert.match(message, /--issuer "http:\/\/H\.example\/": must be https; must not end with a/);
    assert.match(message, /--poll-seconds "0": expected an integer from 1 to 3600/);
    assert.match(message, /--jwks-max-age-seconds "no-cache": expected an integer from 60 to/);
  });

  it("says what is missing", () => {
    assert.match(messageOf([]), /--issuer is missing: expected the issuer URL/);
  });

  for (const [name, extra, env] of [
    ["port 0", ["--port", "0"], {}],
    ["the highest port", ["--port", "65535"], {}],
    ["the shortest wait for retirement", ["--retire-after-seconds", "600"], {}],
    ["a bare IPv6 address as host", ["--allowed-host", "[::1]"], {}],
    ["API servers by address", ["--api-server", "https://10.0.0.1:6443"], {}],
    ["API servers by IPv6 address", ["--api-server", "https://[fd00::1]:6443"], {}],
    ["lists from the environment", [], { IRSA_API_SERVER: "https://a:1, https://b:1" }],
    ["a ConfigMap", ["--state-configmap", "irsa-system/issuer.keys"], {}],
  ] as const) {
    it(`takes ${name}`, () => {
      issuerConfig.parse([...minimal, ...extra], env);
    });
  }

  for (const [extra, message] of [
    [["--port", "65536"], /--port "65536": expected an integer from 0 to 65535/],
    [["--port=-1"], /--port/],
    [["--retire-after-seconds", "599"], /expected an integer >= 600/],
    [["--jwks-max-age-seconds", "59"], /expected an integer from 60 to 86400/],
    [["--discovery-max-age-seconds", "0"], /expected an integer from 60 to 86400/],
    [["--allowed-host", "h:443"], /expected a host without a port/],
    [["--allowed-host", "https://h"], /expected a host without a port/],
    [["--api-server", "10.0.0.1:6443"], /expected a URL such as/],
    [["--api-server", "https://10.0.0.1:6443/"], /expected a URL such as/],
    [["--api-server", "https://u:p@10.0.0.1"], /expected a URL such as/],
    [["--state-configmap", "issuer"], /expected NAMESPACE\/NAME/],
    [["--state-configmap", "a/b/c"], /expected NAMESPACE\/NAME/],
    [["--state-configmap", "../secrets/x"], /expected NAMESPACE\/NAME/],
  ] as const) {
    it(`refuses ${extra.join(" ")}`, () => {
      assert.match(messageOf([...minimal, ...extra]), message);
    });
  }

  for (const [name, argv, message] of [
    [
      "two ways to the API servers",
      [...minimal, "--discover-api-servers", "--api-server", "https://a"],
      /--discover-api-servers and --api-server exclude each other/,
    ],
    [
      "a name for no API server",
      [...minimal, "--api-server-name", "a"],
      /--api-server-name needs --api-server/,
    ],
    [
      "two ways to the cluster",
      [...minimal, "--kubeconfig", "a", "--kube-api", "https://a"],
      /--kubeconfig and --kube-api exclude each other/,
    ],
    [
      "two places for the state",
      [...minimal, "--state-file", "a", "--state-configmap", "a/b"],
      /--state-file and --state-configmap exclude each other/,
    ],
    [
      "a certificate without its key",
      [...minimal, "--tls-cert", "a"],
      /--tls-cert and --tls-key need each other/,
    ],
    [
      "a key without its certificate",
      [...minimal, "--tls-key", "a"],
      /--tls-cert and --tls-key need each other/,
    ],
    ["once without a directory", [...minimal, "--once"], /--once needs --publish-dir/],
    ["nothing to do", [...minimal, "--serve=false"], /nothing to do/],
  ] as const) {
    it(`refuses ${name}`, () => assert.match(messageOf(argv), message));
  }
});

function messageOf(argv: readonly string[]): string {
  try {
    issuerConfig.parse(argv, {});
  } catch (err) {
    assert.equal((err as { code?: string }).code, "CONFIG_INVALID");
    return (err as Error).message;
  }
  return assert.fail("expected the config to be refused");
}
