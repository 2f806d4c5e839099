import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { webhookConfig } from "../../webhook/config.ts";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
} from "../../webhook/coverage/webhook-configurations.ts";
import { missingHelm } from "./helm-program.ts";
import {
  NAMESPACE,
  objectOf,
  podOf,
  renderChart,
  type KubernetesObject,
} from "./rendered-chart.ts";

const skip = (await missingHelm(process.env)) ?? false;

describe("the webhook of the chart", { skip }, () => {
  it("starts with flags that it knows", async () => {
    const objects = await renderChart();
    const { container, template, env } = podOf(objects, "irsa-webhook");
    const [command, ...flags] = container.args;
    assert.equal(command, "webhook");
    const config = webhookConfig.parse(flags, env);
    assert.deepEqual(
      container.ports.map(({ containerPort }) => containerPort),
      [config.port, config.metricsPort],
    );
    assert.equal(config.serviceName, objectOf(objects, "Service").metadata.name);
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
    const { container, env } = podOf(await renderChart({ webhook }), "irsa-webhook");
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
      const objects = await renderChart({ webhook });
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
      const objects = await renderChart({ webhook: { allNamespaces } });
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
    assert.doesNotMatch(JSON.stringify(await renderChart()), /caBundle/);
    const certificates = { source: "secret", secretName: "mine", caBundle: "PEM" };
    const objects = await renderChart({ webhook: { certificates } });
    const bundles = JSON.stringify(objects).match(/"caBundle":"UEVN"/g);
    assert.equal(bundles?.length, 4);
  });
});
