import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  allowedHostsOf,
  configWarnings,
  instanceFactsOf,
  ownRuleSettingsOf,
  shimConfig,
  type ShimConfig,
} from "./config.ts";
import { legacyPlaceOf, type LegacyPlace } from "./legacy/legacy-config.ts";

type Env = Readonly<Record<string, string>>;

function read(
  argv: readonly string[],
  env: Env = {},
): { readonly config: ShimConfig; readonly place: LegacyPlace } {
  const config = shimConfig.parse(argv, env);
  return { config, place: legacyPlaceOf(config, config.profile, env) };
}

describe("the settings of the shim", () => {
  it("need none to be given", () => {
    const { config, place } = read([]);
    assert.equal(config.profile, "strict");
    assert.equal(config.httpTokens, undefined);
    assert.equal(place.port, 8181);
    assert.equal(config.adminPort, 8182);
    assert.equal(config.containerCredentials, false);
    assert.deepEqual(configWarnings(config), []);
  });

  it("are flags, or variables", () => {
    const { config } = read(["--http-tokens=optional"], {
      IRSA_HTTP_TOKENS: "required",
      IRSA_STATE_DIR: "/state",
    });
    assert.deepEqual([config.httpTokens, config.stateDir], ["optional", "/state"]);
  });

  it("warn of the rights of the node", () => {
    const { config } = read(["--profile=kube2iam", "--legacy-assume-role"]);
    assert.deepEqual(configWarnings(config), [
      "--legacy-assume-role: the node assumes roles that do not trust the pods that get them",
    ]);
  });

  const BAD: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
    [["--profile=loose"], /--profile "loose": expected strict, kube2iam or kiam/],
    [["--http-tokens=maybe"], /--http-tokens "maybe": expected required or optional/],
    [["--state-dir=state"], /--state-dir "state": expected an absolute path/],
    [["--event-reasons=aws"], /--event-reasons "aws": expected own or kiam/],
    [["--instance-id=two words"], /--instance-id "two words": expected a text without white space/],
    [["--host-ip=127.0.0.1"], /--host-ip: "127\.0\.0\.1" cannot be reached from a pod/],
    [["--host-interface=a/b"], /--host-interface: "a\/b" is no interface/],
    [["--admin-port=8181"], /--admin-port and --app-port are the same/],
    [["--admin-port=9", "--metrics-port=9"], /--admin-port and --metrics-port are the same/],
    [["--metrics-port=8181"], /pods would see the metrics/],
    [["--kubeconfig=a", "--api-server=http://b"], /--kubeconfig and --api-server exclude/],
    [["--container-credentials-host=localhost"], /expected an address/],
    [["--legacy-assume-role"], /--legacy-assume-role is for the profiles kube2iam and kiam/],
  ];
  for (const [argv, message] of BAD) {
    it(`refuse ${argv.join(" ")}`, () => {
      assert.throws(() => shimConfig.parse(argv, {}), { code: "CONFIG_INVALID", message });
    });
  }
});

describe("what follows from them", () => {
  it("pods are told of the node what is given, by flags or by the variables of AWS", () => {
    const flags = ["--availability-zone=eu-west-1a", "--host-ip=10.0.0.1,fd00::1"];
    const { config, place } = read(flags, { AWS_REGION: "eu-west-1" });
    const facts = instanceFactsOf(config, place);
    const given = Object.entries(facts).filter(([, value]) => value !== undefined);
    assert.deepEqual(Object.fromEntries(given), {
      region: "eu-west-1",
      availabilityZone: "eu-west-1a",
      localIpv4: "10.0.0.1",
    });
  });

  it("hosts that are answered are the service's, the node's, and those given", () => {
    const flags = [
      "--host-ip=10.0.0.1",
      "--allowed-host=Node.Example:8181",
      "--allowed-host=FD00::9",
      "--allowed-host=[fd00::8]:80",
    ];
    const { config, place } = read(flags);
    assert.deepEqual(
      [...allowedHostsOf(config, place)],
      ["169.254.169.254", "fd00:ec2::254", "10.0.0.1", "node.example", "fd00::9", "fd00::8"],
    );
  });

  it("rules are its own only when it is asked to, and need an address of the node", () => {
    const none = read([]);
    assert.equal(ownRuleSettingsOf(none.config, none.place), undefined);
    const { config, place } = read(["--iptables", "--host-interface=cali+"], {
      HOST_IP: "10.0.0.1",
    });
    assert.deepEqual(ownRuleSettingsOf(config, place), {
      hostIps: { ipv4: "10.0.0.1" },
      port: 8181,
      interfaces: { only: ["cali+"], never: [] },
    });
    const homeless = read(["--iptables"]);
    assert.throws(() => ownRuleSettingsOf(homeless.config, homeless.place), {
      code: "CONFIG_INVALID",
      message: /--iptables needs --host-ip/,
    });
  });
});

describe("the manifests of the programs that came before", () => {
  // kube2iam, examples/eks-example.yml; kiam, deploy/agent.yaml. Only image and command are others.
  const KUBE2IAM = [
    "--app-port=8181",
    "--auto-discover-base-arn",
    "--iptables=true",
    "--host-ip=10.0.0.1",
    "--host-interface=eni+",
    "--node=node-1",
    "--verbose",
  ];
  const KIAM = [
    "--iptables",
    "--no-iptables-remove",
    "--host-interface=cali+",
    "--json-log",
    "--port=8181",
    "--cert=/etc/kiam/tls/agent.pem",
    "--key=/etc/kiam/tls/agent-key.pem",
    "--ca=/etc/kiam/tls/ca.pem",
    "--server-address=kiam-server:443",
    "--prometheus-listen-addr=0.0.0.0:9620",
    "--prometheus-sync-interval=5s",
    "--gateway-timeout-creation=1s",
    "--allow-route-regexp=^$",
  ];

  it("are taken as they are: kube2iam's", () => {
    const { config, place } = read(KUBE2IAM, { IRSA_PROFILE: "kube2iam" });
    assert.deepEqual(
      [place.port, place.nodeName, place.metrics, place.logLevel],
      [8181, "node-1", "app-port", "debug"],
    );
    assert.equal(ownRuleSettingsOf(config, place)?.hostIps.ipv4, "10.0.0.1");
  });

  it("are taken as they are: kiam's", () => {
    const { config, place } = read(KIAM, { IRSA_PROFILE: "kiam", HOST_IP: "10.0.0.1" });
    assert.deepEqual([place.port, place.metrics], [8181, { host: "0.0.0.0", port: 9620 }]);
    assert.deepEqual(ownRuleSettingsOf(config, place)?.interfaces.only, ["cali+"]);
    assert.ok(configWarnings(config).length > 0);
  });
});
