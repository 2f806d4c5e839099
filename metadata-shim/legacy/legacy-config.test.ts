import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { defineConfig } from "../../lib/config.ts";
import {
  LEGACY_SETTINGS,
  legacyConfigWarnings,
  legacyPlaceOf,
  type LegacyPlace,
} from "./legacy-config.ts";
import { checkRoleConfig, ROLE_SETTINGS } from "../role/role-config.ts";

const reader = defineConfig({ ...ROLE_SETTINGS, ...LEGACY_SETTINGS }, checkRoleConfig);

/** All flags that kube2iam 0.15 takes, with a value each. */
const KUBE2IAM = [
  "--api-server=https://10.0.0.1:6443",
  "--api-token=s3cret",
  "--kubeconfig=/etc/kubernetes/admin.conf",
  "--insecure",
  "--app-port=8181",
  "--metrics-port=8181",
  "--base-role-arn=arn:aws:iam::111122223333:role/",
  "--auto-discover-base-arn=false",
  "--auto-discover-default-role=false",
  "--default-role=fallback",
  "--iam-role-key=iam.amazonaws.com/role",
  "--iam-external-id=iam.amazonaws.com/external-id",
  "--iam-role-session-ttl=15m0s",
  "--iam-role-error-ttl=0",
  "--metadata-addr=169.254.169.254",
  "--iptables=true",
  "--host-ip=10.0.0.5",
  "--host-interface=docker0",
  "--node=node-a",
  "--namespace-restrictions",
  "--namespace-restriction-format=regexp",
  "--namespace-key=iam.amazonaws.com/allowed-roles",
  "--cache-resync-period=30m",
  "--resolve-duplicate-cache-ips",
  "--backoff-max-interval=1s",
  "--backoff-max-elapsed-time=2s",
  "--log-level=warning",
  "--log-format=json",
  "--verbose",
  "--debug",
  "--use-regional-sts-endpoint",
];

/** All that kiam's agent takes, with those of version 3. */
const KIAM_AGENT = [
  "--port=8181",
  "--no-allow-ip-query",
  "--allow-route-regexp=^$",
  "--whitelist-route-regexp=^$",
  "--iptables",
  "--no-iptables-remove",
  "--host=10.0.0.5",
  "--host-interface=!eth0",
  "--json-log",
  "--level=info",
  "--prometheus-listen-addr=0.0.0.0:9620",
  "--prometheus-sync-interval=5s",
  "--pprof-listen-addr=:6060",
  "--cert=/etc/kiam/tls/agent.pem",
  "--key=/etc/kiam/tls/agent-key.pem",
  "--ca=/etc/kiam/tls/ca.pem",
  "--server-address=kiam-server:443",
  "--server-address-refresh=0s",
  "--gateway-timeout-creation=1s",
  "--grpc-keepalive-time-duration=10s",
  "--grpc-keepalive-timeout-duration=2s",
  "--no-grpc-keepalive-permit-without-stream",
  "--grpc-keepalive-time-ms=10000",
  "--grpc-keepalive-timeout-ms=2000",
];

/** All that its server takes beside these. */
const KIAM_SERVER = [
  "--bind=0.0.0.0:443",
  "--kubeconfig=",
  "--fetchers=8",
  "--prefetch-buffer-size=1000",
  "--sync=1m",
  "--role-base-arn=arn:aws:iam::111122223333:role/",
  "--no-role-base-arn-autodetect",
  "--no-disable-strict-namespace-regexp",
  "--session=kiam",
  "--session-duration=15m",
  "--session-refresh=5m",
  "--assume-role-arn=arn:aws:iam::111122223333:role/kiam-server",
  "--region=eu-west-1",
  "--grpc-max-connection-idle-duration=15m",
  "--grpc-max-connection-age-duration=15m",
  "--grpc-max-connection-age-grace-duration=15m",
  "--timeout=1s",
];

function placeOf(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): LegacyPlace & { readonly warnings: readonly string[] } {
  const config = reader.parse(argv, env);
  const warnings = legacyConfigWarnings(config);
  return { ...legacyPlaceOf(config, config.profile, env), warnings };
}

describe("the flags of kube2iam", () => {
  it("are all taken", () => {
    const { warnings, ...place } = placeOf(["--profile=kube2iam", ...KUBE2IAM]);
    assert.deepEqual(place, {
      port: 8181,
      metrics: "app-port",
      nodeName: "node-a",
      hostIp: "10.0.0.5",
      region: "",
      logLevel: "debug",
      waitMs: 2000,
      durationSeconds: 3600,
    });
    assert.deepEqual(warnings, [
      "--cache-resync-period ignored: a watch is never resynced",
      "--resolve-duplicate-cache-ips ignored: an address that two pods have is never given to one of them",
      "--backoff-max-interval ignored: a pod is waited for by its event",
      "--iam-role-error-ttl ignored: STS is asked seldom, and never twice at once for the same pod",
      "--use-regional-sts-endpoint ignored: STS is always that of the region",
      "--log-format ignored: logs are JSON lines",
      "--debug ignored: there are no pages for debugging",
      "--metadata-addr ignored: nothing is passed on to the real metadata service",
      "credentials are good for 1h, not 1800 s: SDKs fetch credentials that are about to expire before each call",
    ]);
  });

  it("are taken one by one, with their values apart too", () => {
    const profile = "--profile=kube2iam";
    for (const flag of KUBE2IAM) {
      reader.parse([profile, flag], {});
      if (flag.includes("=")) reader.parse([profile, ...flag.split(/=(.*)/s, 2)], {});
    }
  });
});

describe("the flags of kiam", () => {
  it("are all taken for its agent", () => {
    const { warnings, ...place } = placeOf(["--profile=kiam", ...KIAM_AGENT], {
      HOSTNAME: "node-a",
      AWS_REGION: "eu-west-1",
    });
    assert.deepEqual(place, {
      port: 8181,
      metrics: { host: "0.0.0.0", port: 9620 },
      nodeName: "node-a",
      hostIp: "10.0.0.5",
      region: "eu-west-1",
      logLevel: "info",
      waitMs: 2000,
      durationSeconds: 3600,
    });
    const remove =
      "--iptables-remove ignored: rules stay when the shim ends; irsa shim rules remove takes them away";
    assert.ok(warnings.includes(remove), warnings.join("\n"));
  });

  it("are all taken for its server", () => {
    const config = reader.parse(["--profile=kiam", ...KIAM_SERVER], {});
    assert.equal(config.region, "eu-west-1");
    assert.equal(config.disableStrictNamespaceRegexp, false);
  });

  it("are taken one by one", () => {
    for (const flag of [...KIAM_AGENT, ...KIAM_SERVER]) reader.parse([flag], {});
  });

  it("take HOST_IP of the environment for --host", () => {
    assert.equal(placeOf([], { HOST_IP: "10.0.0.6" }).hostIp, "10.0.0.6");
    assert.equal(placeOf(["--host=10.0.0.5"], { HOST_IP: "10.0.0.6" }).hostIp, "10.0.0.5");
  });
});

describe("without any flag", () => {
  it("nothing is told, and all has its default", () => {
    assert.deepEqual(placeOf([]), {
      port: 8181,
      metrics: undefined,
      nodeName: "",
      hostIp: "",
      region: "",
      logLevel: "info",
      waitMs: 400,
      durationSeconds: 3600,
      warnings: [],
    });
  });
});

describe("the port for pods", () => {
  const cases: readonly (readonly [argv: readonly string[], port: number])[] = [
    [["--profile=kube2iam"], 8181],
    [["--profile=kiam"], 3100],
    [["--profile=kiam", "--port=8181"], 8181],
    [["--profile=kiam", "--app-port=0"], 0],
  ];
  for (const [argv, wanted] of cases) {
    it(`of ${argv.join(" ")} is ${wanted}`, () => assert.equal(placeOf(argv).port, wanted));
  }
});

describe("the place of the metrics", () => {
  const cases: readonly (readonly [argv: readonly string[], metrics: LegacyPlace["metrics"]])[] = [
    [["--profile=kube2iam"], "app-port"],
    [["--profile=kube2iam", "--app-port=18181"], "app-port"],
    [["--profile=kube2iam", "--metrics-port=9090"], { host: undefined, port: 9090 }],
    [["--profile=kube2iam", "--metrics-port=none"], undefined],
    [["--profile=kiam"], undefined],
    [["--metrics-port=none"], undefined],
    [["--metrics-port=8181"], "app-port"],
    [["--prometheus-listen-addr=:9620"], { host: undefined, port: 9620 }],
    [["--prometheus-listen-addr=[::1]:9620"], { host: "::1", port: 9620 }],
  ];
  for (const [argv, metrics] of cases) {
    it(`of ${argv.join(" ")}`, () => assert.deepEqual(placeOf(argv).metrics, metrics));
  }
});

describe("the life of credentials", () => {
  const cases: readonly (readonly [argv: readonly string[], seconds: number])[] = [
    [["--iam-role-session-ttl=45m"], 5400],
    [["--iam-role-session-ttl=7m30s"], 3600],
    [["--session-duration=2h"], 7200],
    [["--session-duration=15m"], 3600],
    [["--session-duration=12h"], 43_200],
    [["--session-duration=13h"], 43_200],
    [["--iam-role-session-ttl=5m"], 3600],
    [["--iam-role-session-ttl=7m"], 3600],
    [["--iam-role-session-ttl=0"], 3600],
    [["--iam-role-session-ttl=7h"], 43_200],
  ];
  for (const [argv, seconds] of cases) {
    it(`of ${argv.join(" ")} is ${seconds} s`, () => {
      assert.equal(placeOf(argv).durationSeconds, seconds);
    });
  }
});

describe("a value beyond what can be done", () => {
  const why = "SDKs fetch credentials that are about to expire before each call";
  const cases: readonly (readonly [argv: readonly string[], warning: string | undefined])[] = [
    [["--iam-role-session-ttl=5m"], `credentials are good for 1h, not 600 s: ${why}`],
    [
      ["--iam-role-session-ttl=6h1s"],
      "credentials are good for 12h, not 43202 s: STS gives none for longer",
    ],
    [
      ["--session-duration=13h"],
      "credentials are good for 12h, not 46800 s: STS gives none for longer",
    ],
    [["--session-duration=12h"], undefined],
    [
      ["--backoff-max-elapsed-time=30s"],
      "--backoff-max-elapsed-time: a pod is waited for 10 s at most",
    ],
    [["--backoff-max-elapsed-time=10s"], undefined],
  ];
  for (const [argv, warning] of cases) {
    it(`is told at the start: ${argv.join(" ")}`, () => {
      assert.deepEqual(placeOf(argv).warnings, warning === undefined ? [] : [warning]);
    });
  }

  it("is done as far as it can be", () => {
    assert.equal(placeOf(["--backoff-max-elapsed-time=30s"]).waitMs, 10_000);
    assert.equal(placeOf(["--backoff-max-elapsed-time=1s"]).waitMs, 1000);
    assert.equal(placeOf(["--backoff-max-elapsed-time=-1s"]).waitMs, 0);
  });
});

describe("what cannot be used", () => {
  const cases: readonly (readonly [argv: readonly string[], problem: string])[] = [
    [["--app-port=x"], '--app-port "x": expected a port'],
    [["--app-port=65536"], '--app-port "65536": expected a port'],
    [["--metrics-port=off"], '--metrics-port "off": expected a port or none'],
    [
      ["--session-duration=14m59s"],
      '--session-duration "14m59s": expected a duration of 15m or more',
    ],
    [["--session-duration=900"], '--session-duration "900": expected a duration of 15m or more'],
    [
      ["--iam-role-session-ttl=900"],
      '--iam-role-session-ttl "900": expected a duration such as 15m',
    ],
    [
      ["--backoff-max-elapsed-time=11"],
      '--backoff-max-elapsed-time "11": expected a duration such as 2s',
    ],
    [
      ["--prometheus-listen-addr=:99999"],
      '--prometheus-listen-addr ":99999": expected an address with a port, such as 0.0.0.0:9620',
    ],
    [["--log-level=loud"], '--log-level "loud": expected debug, info, warn or error'],
    [
      ["--prometheus-listen-addr=9620"],
      '--prometheus-listen-addr "9620": expected an address with a port, such as 0.0.0.0:9620',
    ],
    [["--profile=kiam2"], '--profile "kiam2": expected strict, kube2iam or kiam'],
    [
      ["--base-role-arn=role/"],
      '--base-role-arn "role/": expected the start of a role ARN, such as arn:aws:iam::111122223333:role/',
    ],
    [
      ["--base-role-arn=arn:aws:iam::111122223333:role/", "--auto-discover-base-arn"],
      "--auto-discover-base-arn cannot be used with --base-role-arn",
    ],
    [
      ["--default-role=x", "--auto-discover-default-role"],
      "--auto-discover-default-role cannot be used with --default-role",
    ],
  ];
  for (const [argv, problem] of cases) {
    it(argv.join(" "), () => {
      const message = `Cannot use the setting:\n  ${problem}`;
      assert.throws(() => reader.parse(argv, {}), { code: "CONFIG_INVALID", message });
    });
  }
});

/** The page for those who move names every flag that means something. */
describe("docs/migrate-kube2iam-kiam.md", async () => {
  const url = new URL("../../docs/migrate-kube2iam-kiam.md", import.meta.url);
  const page = await readFile(url, "utf8");
  const ours = ["annotation-prefix", "token-audience"];
  for (const { flag, kind } of Object.values(reader.settings)) {
    if (kind === "ignored" || kind === "given" || ours.includes(flag)) continue;
    it(`explains --${flag}`, () => assert.ok(page.includes(`--${flag}`)));
  }
});
