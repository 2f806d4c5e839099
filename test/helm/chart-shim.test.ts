import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { shimConfig } from "../../metadata-shim/config.ts";
import { legacyPlaceOf } from "../../metadata-shim/legacy/legacy-config.ts";
import { applyConfig, removeConfig } from "../../metadata-shim/rules/rules-config.ts";
import { tokenRequestPolicy } from "../../metadata-shim/token-request-policy.ts";
import { validatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { missingHelm } from "./helm-program.ts";
import {
  agentOf,
  NAMESPACE,
  objectOf,
  renderChart,
  SHIM_VALUES,
  type KubernetesObject,
} from "./rendered-chart.ts";

const skip = (await missingHelm(process.env)) ?? false;
/** What the API server knows it as. */
const SHIM_USER = "system:serviceaccount:kube-system:irsa-shim";

describe("the shim of the chart", { skip }, () => {
  it("is not there without being asked for", async () => {
    assert.doesNotMatch(JSON.stringify(await renderChart()), /shim|tokenrequests/);
  });

  it("starts with flags that it knows, and so do its rules, for the same port", async () => {
    const agent = agentOf(await renderChart(SHIM_VALUES));
    const [shim, rules] = [agent.container("shim"), agent.container("rules")];
    assert.deepEqual(shim.args.slice(0, 1), ["shim"]);
    const config = shimConfig.parse(shim.args.slice(1), shim.env);
    assert.deepEqual(rules.args.slice(0, 3), ["shim", "rules", "apply"]);
    const ruleConfig = applyConfig.parse(rules.args.slice(3), rules.env);
    const place = legacyPlaceOf(config, config.profile, shim.env);
    assert.deepEqual([place.port, place.nodeName], [ruleConfig.appPort, "node-1"]);
    assert.deepEqual([place.hostIp, ruleConfig.hostIp], ["10.0.0.5,fd00::5", "10.0.0.5,fd00::5"]);
    assert.deepEqual(shim.ports, [{ name: "http", containerPort: place.port }]);
    assert.equal(config.rulesReadyFile, ruleConfig.readyFile);
    assert.deepEqual([ruleConfig.watch, ruleConfig.iptablesBackend], [true, "auto"]);
    assert.deepEqual([config.tokenRequest, config.containerCredentials], [false, false]);
    assert.ok(agent.spec.terminationGracePeriodSeconds > config.drainSeconds);
    const places = shim.volumeMounts.map(({ mountPath }) => mountPath);
    assert.ok(places.includes(config.stateDir) && places.includes(`${config.kubeletRoot}/pods`));
    const isOfNode = [config.attestation, agent.spec.hostPID];
    assert.deepEqual(isOfNode, [true, true]);
  });

  it("hears of every option", async () => {
    const shim = {
      ...SHIM_VALUES.shim,
      port: 9181,
      adminPort: 9182,
      metricsPort: 9183,
      attestation: false,
      tokenRequests: true,
      containerCredentials: true,
      removeTaint: "irsa-anywhere.io/shim-not-ready",
      rules: { hostInterface: "cali+,!eth0", backend: "nft" },
      caConfigMap: "authorities",
      settings: { profile: "kiam", "http-tokens": "required", "session-duration": "2h" },
      env: [{ name: "AWS_ENDPOINT_URL_STS", value: "https://sts.example.com" }],
    };
    const agent = agentOf(await renderChart({ shim }));
    const own = agent.container("shim");
    const config = shimConfig.parse(own.args.slice(1), own.env);
    const place = legacyPlaceOf(config, config.profile, own.env);
    assert.deepEqual(
      [place.port, config.adminPort, place.metrics],
      [9181, 9182, { host: undefined, port: 9183 }],
    );
    assert.deepEqual(
      [config.tokenRequest, config.containerCredentials, config.removeTaint],
      [true, true, shim.removeTaint],
    );
    assert.deepEqual([config.profile, place.durationSeconds], ["kiam", 7200]);
    assert.deepEqual([config.attestation, agent.spec.hostPID], [false, false]);
    assert.equal(own.env["AWS_ENDPOINT_URL_STS"], "https://sts.example.com");
    assert.equal(own.env["AWS_CA_BUNDLE"], "/etc/irsa/authorities/ca.crt");
    assert.deepEqual(
      own.ports.map(({ containerPort }) => containerPort),
      [9181, 9183],
    );
    const rules = agent.container("rules");
    const { hostInterface, appPort, iptablesBackend, containerCredentials } = applyConfig.parse(
      rules.args.slice(3),
      rules.env,
    );
    assert.deepEqual(
      [hostInterface, appPort, iptablesBackend, containerCredentials],
      ["cali+,!eth0", 9181, "nft", true],
    );
  });

  for (const [what, values, serving, changing] of [
    ["as it is", {}, [], ["NET_RAW"]],
    ["with nft alone", { rules: { backend: "nft" } }, [], []],
    [
      "with container credentials",
      { containerCredentials: true },
      ["NET_BIND_SERVICE"],
      ["NET_RAW"],
    ],
  ] as const) {
    it(`may do no more than its containers need ${what}`, async () => {
      const agent = agentOf(await renderChart({ shim: { ...SHIM_VALUES.shim, ...values } }));
      for (const [name, add] of [
        ["shim", ["DAC_READ_SEARCH", ...serving]],
        ["rules", ["NET_ADMIN", ...changing]],
      ] as const) {
        assert.deepEqual(agent.container(name).securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"], add },
        });
      }
      const access = "/var/run/secrets/kubernetes.io/serviceaccount";
      const places = agent.container("rules").volumeMounts.map(({ mountPath }) => mountPath);
      assert.ok(!places.includes(access), "who may change the network cannot ask the API server");
    });
  }

  it("asks for tokens only behind both fences, as the code has them", async () => {
    const audiences = ["sts.amazonaws.com", "sts.cn-north-1.amazonaws.com.cn"];
    const shim = { ...SHIM_VALUES.shim, tokenRequests: true, tokenRequestAudiences: audiences };
    const objects = await renderChart({ shim });
    const [policy, binding] = tokenRequestPolicy({
      name: "irsa-shim-tokens",
      serviceAccount: { namespace: "kube-system", name: "irsa-shim" },
      audiences,
    }) as readonly KubernetesObject[];
    for (const wanted of [policy, binding]) {
      assert.deepEqual(objectOf(objects, wanted?.kind ?? "")["spec"], wanted?.["spec"]);
    }
    const configuration = validatingWebhookConfiguration({
      name: "irsa-anywhere",
      clientConfig: { service: { namespace: NAMESPACE, name: "irsa-webhook" } },
      exemptNamespaces: [NAMESPACE],
      tokenRequester: SHIM_USER,
    }) as KubernetesObject;
    const found = objectOf(objects, configuration.kind);
    assert.deepEqual(found["webhooks"], configuration["webhooks"]);
    const rights = JSON.stringify(objectOf(objects, "ClusterRole", "irsa-shim")["rules"]);
    assert.match(rights, /serviceaccounts\/token/);
    assert.doesNotMatch(rights, /nodes/);
  });

  it("takes its rules away and does nothing else when it is told to", async () => {
    const agent = agentOf(await renderChart({ shim: { ...SHIM_VALUES.shim, removeRules: true } }));
    const { args, env } = agent.container("remove");
    assert.deepEqual(args.slice(0, 3), ["shim", "rules", "remove"]);
    assert.equal(removeConfig.parse(args.slice(3), env).appPort, 8181);
    assert.deepEqual(
      agent.spec.containers.map(({ name }) => name),
      ["removed"],
    );
    assert.deepEqual(
      agent.spec.volumes.map(({ name }) => name),
      ["xtables-lock"],
    );
    const { securityContext, volumeMounts } = agent.container("removed");
    assert.deepEqual(
      [securityContext.capabilities, volumeMounts],
      [{ drop: ["ALL"], add: [] }, []],
    );
  });

  it("tells metrics to the network only where they are read", async () => {
    const objects = await renderChart(SHIM_VALUES);
    assert.ok(!objects.some(({ metadata }) => metadata.name === "irsa-shim-metrics"));
    const monitored = { ...SHIM_VALUES, metrics: { serviceMonitor: { enabled: true } } };
    const others = await renderChart(monitored);
    const shim = agentOf(others).container("shim");
    assert.ok(shim.args.includes("--metrics-port=8183"));
    const service = objectOf(others, "Service", "irsa-shim-metrics");
    assert.equal(service.metadata.namespace, "kube-system");
    assert.match(JSON.stringify(service["spec"]), /"port":8183,"targetPort":"metrics"/);
  });

  it("tells metrics to nobody else by the profile kube2iam, whose own place is the port for pods", async () => {
    const settings = { profile: "kube2iam" };
    for (const [metricsPort, wanted] of [
      [0, undefined],
      [9183, { host: undefined, port: 9183 }],
    ] as const) {
      const shim = { ...SHIM_VALUES.shim, settings, metricsPort };
      const { args, env } = agentOf(await renderChart({ shim })).container("shim");
      const config = shimConfig.parse(args.slice(1), env);
      assert.equal(config.profile, "kube2iam");
      assert.deepEqual(legacyPlaceOf(config, config.profile, env).metrics, wanted);
    }
  });
});
