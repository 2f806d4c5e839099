import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { createAuditMetrics } from "./audit/audit-metrics.ts";
import { FINDING_REASONS } from "./audit/finding.ts";
import { configWarnings, webhookConfig } from "./config.ts";
import { givenRoleAccount, mutationSettingsOf } from "./mutation/mutation-config.ts";
import { minTlsVersionOf } from "./tls/tls-config.ts";
import { createMetrics } from "./metrics.ts";
import { MUTATION_REASONS } from "./mutation/mutation.ts";

const parse = (...argv: string[]): ReturnType<typeof webhookConfig.parse> =>
  webhookConfig.parse(argv, {});

/** The page for operators names everything that there is to name. */
describe("docs/webhook.md", async () => {
  const page = await readFile(new URL("../docs/webhook.md", import.meta.url), "utf8");

  for (const { flag, kind } of Object.values(webhookConfig.settings)) {
    if (kind === "ignored") continue;
    it(`explains --${flag}`, () => assert.ok(page.includes(`\`--${flag}\``)));
  }

  const registry = new Registry();
  createMetrics(registry);
  createAuditMetrics(registry);
  for (const { name } of registry.getMetricsAsArray()) {
    it(`explains ${name}`, () => assert.ok(page.includes(`\`${name}\``)));
  }

  for (const reason of [...Object.keys(MUTATION_REASONS), ...Object.keys(FINDING_REASONS)]) {
    it(`explains the reason ${reason}`, () => assert.ok(page.includes(`\`${reason}\``)));
  }
});

/** The arguments of the Deployment that AWS ships. */
const AWS_DEPLOYMENT_ARGUMENTS = [
  "--in-cluster=false",
  "--namespace=default",
  "--service-name=pod-identity-webhook",
  "--annotation-prefix=eks.amazonaws.com",
  "--token-audience=sts.amazonaws.com",
  "--logtostderr",
];

describe("webhookConfig", () => {
  it("has the defaults of AWS's webhook", () => {
    const { klogFlags: _klogFlags, idleFlags: _idleFlags, ...config } = parse();
    assert.deepEqual(config, {
      host: "",
      port: 443,
      metricsPort: 9999,
      debugHandlers: false,
      debugPort: 9998,
      kubeconfig: "",
      kubeApi: "",
      tlsCert: "/etc/webhook/certs/tls.crt",
      tlsKey: "/etc/webhook/certs/tls.key",
      tlsMinVersion: "",
      tlsCipherSuites: "",
      inCluster: true,
      tlsSecret: "pod-identity-webhook",
      tlsSan: [],
      certificateLifetimeMs: 90 * 24 * 3_600_000,
      certificateRenewBeforeMs: 30 * 24 * 3_600_000,
      caLifetimeMs: 3650 * 24 * 3_600_000,
      caOverlapMs: 3_600_000,
      manageCaBundle: true,
      webhookConfiguration: [],
      replicaName: "",
      leaseDurationMs: 15_000,
      validation: "warn",
      namespace: "eks",
      serviceName: "pod-identity-webhook",
      lookupGraceMs: 1000,
      drainSeconds: 10,
      shutdownDelaySeconds: 0,
      audit: true,
      auditAllNamespaces: false,
      auditEvict: false,
      auditEvictPerMinute: 5,
      logLevel: "info",
      watchConfigMap: false,
      containerCredentialsFile: "",
      annotationPrefix: "eks.amazonaws.com",
      tokenAudience: "sts.amazonaws.com",
      tokenMountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
      containerCredentialsAudience: "pods.eks.amazonaws.com",
      containerCredentialsMountPath: "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
      containerCredentialsVolumeName: "eks-pod-identity-token",
      containerCredentialsFileName: "eks-pod-identity-token",
      containerCredentialsFullUri: "http://169.254.170.23/v1/credentials",
      tokenExpiration: 86_400,
      region: "",
      regionalSts: false,
      roleSessionName: false,
      disableEc2Metadata: false,
      shimAnnotation: "",
      fipsEndpoints: false,
      dualStackEndpoints: false,
      composeRoleArn: false,
      accountId: "",
      partition: "",
    });
  });

  it("starts with the arguments of AWS's Deployment", () => {
    const config = parse(...AWS_DEPLOYMENT_ARGUMENTS, "-v=4");
    assert.deepEqual(configWarnings(config), [
      "--v, --logtostderr ignored: logs are JSON lines, see --log-level",
    ]);
  });

  it("takes every flag of klog, with one warning", () => {
    // Those that `klog.InitFlags` of v2.140 registers.
    const flags = [
      "--log_dir=/tmp",
      "--log_file=/tmp/log",
      "--log_file_max_size=1800",
      "--logtostderr",
      "--alsologtostderr=false",
      "--legacy_stderr_threshold_behavior=true",
      "--v=4",
      "--add_dir_header",
      "--skip_headers",
      "--one_output",
      "--skip_log_headers",
      "--stderrthreshold=2",
      "--alsologtostderrthreshold=INFO",
      "--vmodule=a=1",
      "--log_backtrace_at=a.go:1",
    ];
    const [warning = "", ...more] = configWarnings(parse(...flags));
    assert.deepEqual(more, []);
    for (const flag of flags) assert.ok(warning.includes(flag.split("=")[0] ?? ""), flag);
  });

  it("takes flags of AWS's webhook that have nothing to decide here, with a warning", () => {
    const config = parse("--resync-period", "60s");
    assert.deepEqual(configWarnings(config), [
      "--resync-period ignored: a watch is never resynced",
    ]);
  });

  it("reads the environment", () => {
    assert.equal(webhookConfig.parse([], { IRSA_TOKEN_EXPIRATION: "900" }).tokenExpiration, 900);
  });

  it("names all bad values at once", () => {
    const bad = ["--port=x", "--token-expiration=abc", "--tls-min-version=2", "--ca-overlap=x"];
    assert.throws(() => parse(...bad), {
      code: "CONFIG_INVALID",
      message: /--port "x".*--tls-min-version "2".*--ca-overlap "x".*--token-expiration "abc"/s,
    });
  });

  for (const [flag, wanted] of [
    ["--certificate-lifetime=720h", /renew-before must be shorter than --certificate-lifetime/],
    ["--certificate-lifetime=90d", /--certificate-lifetime "90d": expected a duration/],
    ["--certificate-renew-before=999ms", /expected a duration of at least 1s/],
    ["--ca-overlap=2160h", /--ca-overlap must be shorter than --certificate-lifetime/],
    ["--ca-lifetime=2162h", /--ca-lifetime must be longer than .* twice --ca-overlap/],
    ["--tls-san=*.example.com", /--tls-san .*: expected a DNS name/],
    ["--tls-san=fe80::1%eth0", /--tls-san .*: expected a DNS name/],
    ["--tls-san=::ffff:127.0.0.1", /--tls-san .*: expected a DNS name/],
    ["--tls-secret=a/b", /--tls-secret "a\/b": expected the name of a Kubernetes object/],
    ["--webhook-configuration=", /expected the name of a Kubernetes object/],
    ["--account-id=111122223333", /--account-id needs --compose-role-arn/],
    ["--partition=aws-cn", /--partition needs --compose-role-arn/],
    ["--account-id=1111", /--account-id "1111": expected 12 digits/],
    ["--annotation-prefix=a/b", /--annotation-prefix "a\/b": expected a DNS name/],
    ["--annotation-prefix=", /--annotation-prefix ""/],
    ["--tls-cipher-suites=TLS_X", /--tls-cipher-suites "TLS_X": expected Go's names/],
    ["--token-audience=", /--token-audience "": expected an audience/],
    ["--token-mount-path=token", /--token-mount-path "token": expected an absolute path/],
    ["--token-mount-path=/a:b", /--token-mount-path/],
    ["--token-expiration=1h", /--token-expiration "1h": expected whole seconds/],
    ["--token-expiration=4294967297", /--token-expiration/],
    ["--service-account-lookup-grace-period=5", /expected a duration from 0s to 30s/],
    ["--service-account-lookup-grace-period=31s", /expected a duration from 0s to 30s/],
    ["--service-account-lookup-grace-period=-1s", /expected a duration from 0s to 30s/],
    ["--partition=gcp", /--partition "gcp": expected a partition/],
    ["--unheard-of", /unknown option '--unheard-of'/],
  ] as const) {
    it(`refuses ${flag}`, () =>
      assert.throws(() => parse(flag), { code: "CONFIG_INVALID", message: wanted }));
  }

  for (const [text, ms] of [
    ["0s", 0],
    ["0", 0],
    ["100ms", 100],
    ["30s", 30_000],
  ] as const) {
    it(`takes a grace period of ${text}`, () => {
      assert.equal(parse(`--service-account-lookup-grace-period=${text}`).lookupGraceMs, ms);
    });
  }

  for (const [text, seconds, warnings] of [
    ["600", 600, []],
    ["599", 600, ["--token-expiration 599 raised to 600"]],
    ["-1", 600, ["--token-expiration -1 raised to 600"]],
    ["+700", 700, []],
    ["4294967296", 4_294_967_296, []],
  ] as const) {
    it(`makes ${seconds} s of --token-expiration=${text}`, () => {
      const config = parse(`--token-expiration=${text}`);
      assert.equal(mutationSettingsOf(config, undefined).expirationSeconds, seconds);
      assert.deepEqual(configWarnings(config), warnings);
    });
  }

  for (const [text, floor, raised] of [
    ["", "TLSv1.2", false],
    ["1.0", "TLSv1.2", true],
    ["1.1", "TLSv1.2", true],
    ["1.2", "TLSv1.2", false],
    ["1.3", "TLSv1.3", false],
    ["VersionTLS10", "TLSv1.2", true],
    ["VersionTLS11", "TLSv1.2", true],
    ["VersionTLS12", "TLSv1.2", false],
    ["VersionTLS13", "TLSv1.3", false],
  ] as const) {
    it(`serves from ${floor} on for --tls-min-version=${text}`, () => {
      const config = parse(`--tls-min-version=${text}`);
      assert.equal(minTlsVersionOf(config), floor);
      assert.equal(configWarnings(config).length, raised ? 1 : 0);
    });
  }

  it("knows the account of bare role names only when it is given", () => {
    assert.equal(givenRoleAccount(parse()), undefined);
    assert.equal(givenRoleAccount(parse("--compose-role-arn")), undefined);
    assert.deepEqual(
      givenRoleAccount(
        parse("--compose-role-arn", "--account-id=111122223333", "--aws-default-region=cn-north-1"),
      ),
      { accountId: "111122223333", partition: "aws-cn" },
    );
  });
});
