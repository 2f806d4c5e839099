import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { Registry } from "prom-client";
import { parse } from "yaml";
import { z } from "zod";
import type { Setting } from "../../lib/config.ts";
import { shimConfig } from "../../metadata-shim/config.ts";
import { createMetrics as createShimMetrics } from "../../metadata-shim/metrics.ts";
import { legacyPlaceOf } from "../../metadata-shim/role/legacy-config.ts";
import { applyConfig, removeConfig } from "../../metadata-shim/rules/rules-config.ts";
import { tokenRequestPolicy } from "../../metadata-shim/token-request-policy.ts";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { createMetrics as createIssuerMetrics } from "../../oidc-issuer/metrics.ts";
import { FOLDERS, MANIFESTS, renderManifests } from "../../scripts/manifests/render-manifests.ts";
import { createAuditMetrics } from "../../webhook/audit/audit-metrics.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { createMetrics as createWebhookMetrics } from "../../webhook/metrics.ts";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
} from "../../webhook/webhook-configurations.ts";
import { findHelm, missingHelm, type Helm } from "./helm-program.ts";
import {
  agentOf,
  NAMESPACE,
  objectOf,
  podOf,
  renderChart,
  type KubernetesObject,
} from "./rendered-chart.ts";

const skip = (await missingHelm(process.env)) ?? false;
let helm: Helm;
before(async () => {
  if (skip === false) helm = await findHelm(process.env);
});

const ISSUER = { issuer: { enabled: true, url: "https://oidc.example.com/prod" } };

describe("the plain manifests", { skip }, () => {
  it("are what the chart renders: run `npm run manifests` when this fails", async () => {
    const rendered = await renderManifests(helm);
    const committed = new Map<string, string>();
    for (const folder of Object.keys(FOLDERS)) {
      for (const name of await readdir(new URL(`${folder}/`, MANIFESTS))) {
        const path = `${folder}/${name}`;
        committed.set(path, await readFile(new URL(path, MANIFESTS), "utf8"));
      }
    }
    assert.deepEqual([...committed.keys()].toSorted(), [...rendered.keys()].toSorted());
    for (const [path, text] of rendered) assert.equal(committed.get(path), text, path);
  });
});

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly type?: string;
  readonly enum?: readonly unknown[];
}

describe("the values", { skip }, () => {
  for (const [what, values, problem] of [
    ["an unknown key", { webhok: {} }, /webhok/],
    ["an unknown key deep inside", { webhook: { audit: { evicts: true } } }, /evicts/],
    ["an unknown setting", { webhook: { settings: { "token-expirtion": 1 } } }, /token-expirtion/],
    ["a text for a number", { webhook: { replicas: "two" } }, /replicas/],
    ["no replica", { webhook: { replicas: 0 } }, /replicas/],
    ["a word for a boolean", { webhook: { allNamespaces: "yes" } }, /allNamespaces/],
    ["a taint that is none", { shim: { removeTaint: "a b" } }, /removeTaint/],
    ["a share of no node", { shim: { maxUnavailable: "0%" } }, /maxUnavailable/],
    [
      "tokens for the shim without the webhook that fences them",
      { webhook: { enabled: false }, shim: { enabled: true, tokenRequests: true } },
      /shim\.tokenRequests needs webhook\.enabled/,
    ],
    ["an issuer without https", { issuer: { url: "http://a.example" } }, /url/],
    ["an issuer that ends in a slash", { issuer: { url: "https://a.example/" } }, /url/],
    ["an issuer without URL", { issuer: { enabled: true } }, /issuer\.url is needed/],
    [
      "cert-manager without an issuer",
      { webhook: { certificates: { source: "cert-manager" } } },
      /issuerRef\.name is needed/,
    ],
    [
      "certificates of one's own without their Secret",
      { webhook: { certificates: { source: "secret", caBundle: "PEM" } } },
      /secretName is needed/,
    ],
  ] as const) {
    it(`are refused with ${what}`, async () => {
      await assert.rejects(renderChart(helm, values), problem);
    });
  }

  it("have a default for each key of the schema, and a key of the schema for each default", async () => {
    const defaults: unknown = parse(await chartFile("values.yaml"));
    const schema = JSON.parse(await chartFile("values.schema.json")) as Schema;
    const documented = (value: unknown, path: string): readonly string[] =>
      typeof value === "object" && !Array.isArray(value) && Object.keys(value ?? {}).length > 0
        ? Object.entries(value ?? {}).flatMap(([key, inner]) => documented(inner, `${path}.${key}`))
        : [path];
    const known = ({ properties }: Schema, path: string): readonly string[] =>
      properties === undefined
        ? [path]
        : Object.entries(properties).flatMap(([key, inner]) =>
            key === "settings" ? [`${path}.${key}`] : known(inner, `${path}.${key}`),
          );
    const ours = new Set(documented(defaults, "").map((path) => leafOf(path)));
    const theirs = new Set(known(schema, "").filter((path) => path !== ".global"));
    assert.deepEqual([...ours].toSorted(), [...theirs].toSorted());
  });

  for (const [component, config, owned] of [
    [
      "webhook",
      webhookConfig,
      "host port metrics-port kubeconfig kube-api namespace service-name in-cluster tls-cert tls-key tls-secret " +
        "manage-ca-bundle webhook-configuration replica-name drain-seconds shutdown-delay-seconds audit " +
        "audit-all-namespaces audit-evict watch-config-map watch-container-credentials-config",
    ],
    [
      "issuer",
      issuerConfig,
      "issuer host port metrics-port kubeconfig kube-api key-file tls-cert tls-key state-file state-configmap " +
        "publish-dir once serve drain-seconds",
    ],
    [
      "shim",
      shimConfig,
      "app-port port admin-port bind-address metrics-port prometheus-listen-addr state-dir drain-seconds " +
        "rules-ready-file remove-taint attestation proc-folder kubelet-root token-request " +
        "container-credentials container-credentials-host container-credentials-port node kubeconfig " +
        "api-server api-token insecure iptables host-ip host host-interface instance-id hostname level verbose",
    ],
  ] as const) {
    it(`take each setting of irsa ${component} that the chart does not decide, by its type`, async () => {
      const schema = JSON.parse(await chartFile("values.schema.json")) as Schema;
      const taken = schema.properties?.[component]?.properties?.["settings"]?.properties ?? {};
      const settings: readonly Setting<unknown>[] = Object.values(config.settings);
      const wanted = settings.filter(
        ({ kind, flag }) => kind !== "ignored" && !owned.split(" ").includes(flag),
      );
      assert.deepEqual(Object.keys(taken).toSorted(), wanted.map(({ flag }) => flag).toSorted());
      for (const { flag, kind } of wanted) {
        const type = taken[flag]?.type;
        const isRight =
          kind === "value" ? type !== "boolean" && type !== "array" : type === TYPES[kind];
        assert.ok(isRight, flag);
      }
    });
  }
});

const TYPES: Readonly<Record<string, string>> = { boolean: "boolean", list: "array" };

describe("the webhook of the chart", { skip }, () => {
  it("starts with flags that it knows", async () => {
    const { container, template, env } = podOf(await renderChart(helm), "irsa-webhook");
    const [command, ...flags] = container.args;
    assert.equal(command, "webhook");
    const config = webhookConfig.parse(flags, env);
    assert.deepEqual(
      container.ports.map(({ containerPort }) => containerPort),
      [config.port, config.metricsPort],
    );
    assert.equal(config.serviceName, objectOf(await renderChart(helm), "Service").metadata.name);
    assert.equal(config.namespace, NAMESPACE);
    const { shutdownDelaySeconds, drainSeconds } = config;
    assert.equal(shutdownDelaySeconds, 5);
    assert.ok(template.spec.terminationGracePeriodSeconds > shutdownDelaySeconds + drainSeconds);
  });

  it("hears of every option", async () => {
    const webhook = {
      allNamespaces: true,
      audit: { evict: true },
      watchConfigMap: true,
      containerCredentials: { configMap: "identities" },
      settings: {
        "aws-default-region": "eu-central-1",
        "token-expiration": 1_000_000,
        "sts-regional-endpoint": true,
        "tls-san": ["a.example", "b.example"],
        validation: "deny",
      },
    };
    const { container, env } = podOf(await renderChart(helm, { webhook }), "irsa-webhook");
    const config = webhookConfig.parse(container.args.slice(1), env);
    assert.deepEqual(
      [config.auditAllNamespaces, config.auditEvict, config.watchConfigMap, config.regionalSts],
      [true, true, true, true],
    );
    assert.deepEqual(
      [config.region, config.tokenExpiration, config.tlsSan, config.validation],
      ["eu-central-1", 1_000_000, ["a.example", "b.example"], "deny"],
    );
    assert.match(config.containerCredentialsFile, /^\/etc\/irsa\/container-credentials\//);
  });

  for (const [source, certificates] of [
    ["cert-manager", { issuerRef: { kind: "ClusterIssuer", name: "corporate" } }],
    ["secret", { secretName: "webhook-tls", caBundle: "PEM" }],
  ] as const) {
    it(`takes certificates from files with source ${source}, and has no right to make any`, async () => {
      const webhook = { certificates: { source, ...certificates } };
      const objects = await renderChart(helm, { webhook });
      const { container, env } = podOf(objects, "irsa-webhook");
      const config = webhookConfig.parse(container.args.slice(1), env);
      assert.equal(config.inCluster, false);
      assert.equal(config.tlsCert, "/etc/irsa/certificates/tls.crt");
      const rights = JSON.stringify([
        objectOf(objects, "ClusterRole")["rules"],
        objectOf(objects, "Role")["rules"],
      ]);
      assert.doesNotMatch(rights, /secrets|webhookconfigurations/);
    });
  }

  for (const allNamespaces of [false, true]) {
    it(`is asked as the code says with allNamespaces ${allNamespaces}`, async () => {
      const objects = await renderChart(helm, { webhook: { allNamespaces } });
      const options = {
        name: "irsa-anywhere",
        clientConfig: { service: { namespace: NAMESPACE, name: "irsa-webhook" } },
        exemptNamespaces: [NAMESPACE],
      };
      for (const wanted of [
        mutatingWebhookConfiguration({ ...options, allNamespaces }),
        validatingWebhookConfiguration(options),
      ] as readonly KubernetesObject[]) {
        const found = objectOf(objects, wanted.kind);
        assert.equal(found.metadata.name, wanted.metadata.name);
        assert.deepEqual(found["webhooks"], wanted["webhooks"]);
      }
    });
  }

  it("leaves caBundle to itself unless the certificates are the user's", async () => {
    assert.doesNotMatch(JSON.stringify(await renderChart(helm)), /caBundle/);
    const certificates = { source: "secret", secretName: "mine", caBundle: "PEM" };
    const objects = await renderChart(helm, { webhook: { certificates } });
    const bundles = JSON.stringify(objects).match(/"caBundle":"UEVN"/g);
    assert.equal(bundles?.length, 4);
  });
});

describe("the issuer of the chart", { skip }, () => {
  it("starts with flags that it knows, and keeps its keys in the ConfigMap beside it", async () => {
    const objects = await renderChart(helm, {
      issuer: { ...ISSUER.issuer, settings: { "jwks-max-age-seconds": 600, "retire-kid": ["a"] } },
    });
    const { container, env } = podOf(objects, "irsa-issuer");
    const config = issuerConfig.parse(container.args.slice(1), env);
    assert.equal(config.issuer, ISSUER.issuer.url);
    assert.deepEqual([config.jwksMaxAgeSeconds, config.retireKids], [600, ["a"]]);
    assert.deepEqual(
      container.ports.map(({ containerPort }) => containerPort),
      [config.port, config.metricsPort],
    );
    const { metadata } = objectOf(objects, "ConfigMap");
    assert.equal(config.stateConfigMap, `${metadata.namespace}/${metadata.name}`);
    assert.equal(metadata.annotations?.["helm.sh/resource-policy"], "keep");
  });

  it("serves HTTPS with a Secret", async () => {
    const tls = { secretName: "issuer-tls" };
    const objects = await renderChart(helm, { issuer: { ...ISSUER.issuer, tls } });
    const { container, env } = podOf(objects, "irsa-issuer");
    const config = issuerConfig.parse(container.args.slice(1), env);
    assert.deepEqual([config.port, config.tlsCert], [8443, "/etc/irsa/certificates/tls.crt"]);
    const service = objectOf(objects, "Service", "irsa-issuer");
    assert.match(JSON.stringify(service["spec"]), /"name":"https","port":443/);
  });

  it("is routed the two documents below the path of its URL, exactly", async () => {
    const ingress = { enabled: true, className: "nginx", tlsSecretName: "oidc-tls" };
    const objects = await renderChart(helm, { issuer: { ...ISSUER.issuer, ingress } });
    const { spec } = Ingress.parse(objectOf(objects, "Ingress"));
    const [rule] = spec.rules;
    assert.equal(rule.host, "oidc.example.com");
    assert.deepEqual(
      rule.http.paths.map(({ path, pathType }) => [path, pathType]),
      [
        ["/prod/.well-known/openid-configuration", "Exact"],
        ["/prod/openid/v1/jwks", "Exact"],
      ],
    );
    assert.deepEqual(spec.tls, [{ hosts: ["oidc.example.com"], secretName: "oidc-tls" }]);
  });
});

const SHIM = { shim: { enabled: true } };
/** What the API server knows it as. */
const SHIM_USER = "system:serviceaccount:kube-system:irsa-shim";

describe("the shim of the chart", { skip }, () => {
  it("is not there without being asked for", async () => {
    assert.doesNotMatch(JSON.stringify(await renderChart(helm)), /shim|tokenrequests/);
  });

  it("starts with flags that it knows, and so do its rules, for the same port", async () => {
    const agent = agentOf(await renderChart(helm, SHIM));
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
      ...SHIM.shim,
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
    const agent = agentOf(await renderChart(helm, { shim }));
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
      const agent = agentOf(await renderChart(helm, { shim: { ...SHIM.shim, ...values } }));
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
    const shim = { ...SHIM.shim, tokenRequests: true, tokenRequestAudiences: audiences };
    const objects = await renderChart(helm, { shim });
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
    const agent = agentOf(await renderChart(helm, { shim: { ...SHIM.shim, removeRules: true } }));
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
    const objects = await renderChart(helm, SHIM);
    assert.ok(!objects.some(({ metadata }) => metadata.name === "irsa-shim-metrics"));
    const monitored = { ...SHIM, metrics: { serviceMonitor: { enabled: true } } };
    const others = await renderChart(helm, monitored);
    const shim = agentOf(others).container("shim");
    assert.ok(shim.args.includes("--metrics-port=8183"));
    const service = objectOf(others, "Service", "irsa-shim-metrics");
    assert.equal(service.metadata.namespace, "kube-system");
    assert.match(JSON.stringify(service["spec"]), /"port":8183,"targetPort":"metrics"/);
  });
});

const Ingress = z.looseObject({
  spec: z.looseObject({
    tls: z.unknown(),
    rules: z.tuple([
      z.looseObject({
        host: z.string(),
        http: z.object({
          paths: z.array(z.looseObject({ path: z.string(), pathType: z.string() })),
        }),
      }),
    ]),
  }),
});

const PrometheusRule = z.looseObject({
  spec: z.object({
    groups: z.array(
      z.object({
        rules: z.array(
          z.looseObject({
            alert: z.string(),
            expr: z.string(),
            labels: z.object({ severity: z.enum(["warning", "critical"]) }),
            annotations: z.looseObject({ summary: z.string() }),
          }),
        ),
      }),
    ),
  }),
});

describe("the options for Prometheus", { skip }, () => {
  it("alert by metrics that there are", async () => {
    const registry = new Registry();
    createWebhookMetrics(registry);
    createAuditMetrics(registry);
    createIssuerMetrics(registry, () => 0);
    createShimMetrics(registry);
    const known = new Set(registry.getMetricsAsArray().map(({ name }) => name));
    // Of kube-apiserver: kubernetes.io/docs/reference/instrumentation/metrics.
    known.add("apiserver_admission_webhook_fail_open_count");
    known.add("apiserver_admission_webhook_rejection_count");
    const objects = await renderChart(helm, {
      ...SHIM,
      issuer: { ...ISSUER.issuer, tls: { secretName: "issuer-tls" } },
      metrics: { alerts: { enabled: true, labels: { release: "prometheus" } } },
    });
    const rule = objectOf(objects, "PrometheusRule");
    assert.equal(rule.metadata.labels?.["release"], "prometheus");
    const { groups } = PrometheusRule.parse(rule).spec;
    const rules = groups.flatMap((group) => group.rules);
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
    for (const { alert, expr } of rules) {
      const used = expr.match(/\b(irsa|oidc|apiserver)_\w+/g) ?? [];
      assert.ok(used.length > 0, alert);
      for (const name of used) assert.ok(known.has(name), `${alert}: ${name}`);
    }
  });

  it("have all programs read", async () => {
    const metrics = { serviceMonitor: { enabled: true } };
    const objects = await renderChart(helm, { ...ISSUER, ...SHIM, metrics });
    const monitors = objects.filter(({ kind }) => kind === "ServiceMonitor");
    assert.deepEqual(
      monitors.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
      [`${NAMESPACE}/irsa-webhook`, `${NAMESPACE}/irsa-issuer`, "kube-system/irsa-shim"],
    );
  });
});

describe("the NetworkPolicies", { skip }, () => {
  it("let in what is asked, and out to the API server alone", async () => {
    const objects = await renderChart(helm, {
      ...ISSUER,
      networkPolicy: { enabled: true, apiServerCidrs: ["10.0.0.0/24"], metricsFrom: [{}] },
    });
    const policies = objects.filter(({ kind }) => kind === "NetworkPolicy");
    assert.deepEqual(
      policies.map(({ spec }) => spec),
      ["issuer", "webhook"].map((component) => ({
        podSelector: {
          matchLabels: {
            "app.kubernetes.io/name": "irsa-anywhere",
            "app.kubernetes.io/instance": "irsa-anywhere",
            "app.kubernetes.io/component": component,
          },
        },
        policyTypes: ["Ingress", "Egress"],
        ingress: [
          { ports: [{ port: component === "webhook" ? "https" : "http" }] },
          { from: [{}], ports: [{ port: "metrics" }] },
        ],
        egress: [
          { ports: [{ port: 443 }, { port: 6443 }], to: [{ ipBlock: { cidr: "10.0.0.0/24" } }] },
        ],
      })),
    );
  });
});

/** Maps of the user's own keys count as one value. */
function leafOf(path: string): string {
  return path.replace(/\.(requests|limits|settings|nodeSelector)\..*$/, ".$1");
}

async function chartFile(name: string): Promise<string> {
  return readFile(new URL(`chart/${name}`, MANIFESTS), "utf8");
}
