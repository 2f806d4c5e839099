import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { z } from "zod";
import { createMetrics as createShimMetrics } from "../../metadata-shim/metrics.ts";
import { createMetrics as createIssuerMetrics } from "../../oidc-issuer/metrics.ts";
import { FOLDERS, MANIFESTS, renderManifests } from "../../scripts/manifests/render-manifests.ts";
import { createAuditMetrics } from "../../webhook/audit/audit-metrics.ts";
import { createMetrics as createWebhookMetrics } from "../../webhook/metrics.ts";
import { findHelm, missingHelm } from "./helm-program.ts";
import { ISSUER_VALUES, NAMESPACE, objectOf, renderChart, SHIM_VALUES } from "./rendered-chart.ts";

// What is of all components; those have files of their own beside this one.

const skip = (await missingHelm(process.env)) ?? false;

describe("the plain manifests", { skip }, () => {
  it("are what the chart renders: run `npm run manifests` when this fails", async () => {
    const rendered = await renderManifests(await findHelm(process.env));
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
    const objects = await renderChart({
      ...SHIM_VALUES,
      issuer: { ...ISSUER_VALUES.issuer, tls: { secretName: "issuer-tls" } },
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
    const objects = await renderChart({ ...ISSUER_VALUES, ...SHIM_VALUES, metrics });
    const monitors = objects.filter(({ kind }) => kind === "ServiceMonitor");
    assert.deepEqual(
      monitors.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
      [`${NAMESPACE}/irsa-webhook`, `${NAMESPACE}/irsa-issuer`, "kube-system/irsa-shim"],
    );
  });
});

describe("the NetworkPolicies", { skip }, () => {
  it("let in what is asked, and out to the API server alone", async () => {
    const objects = await renderChart({
      ...ISSUER_VALUES,
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
