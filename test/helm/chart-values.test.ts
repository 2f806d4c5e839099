import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { parse } from "yaml";
import type { Setting } from "../../lib/config.ts";
import { shimConfig } from "../../metadata-shim/config.ts";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { MANIFESTS } from "../../scripts/manifests/render-manifests.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { missingHelm } from "./helm-program.ts";
import { renderChart } from "./rendered-chart.ts";

const skip = (await missingHelm(process.env)) ?? false;

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
      await assert.rejects(renderChart(values), problem);
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
        ({ kind, flag }) =>
          kind !== "ignored" && kind !== "given" && !owned.split(" ").includes(flag),
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

/** Maps of the user's own keys count as one value. */
function leafOf(path: string): string {
  return path.replace(/\.(requests|limits|settings|nodeSelector)\..*$/, ".$1");
}

async function chartFile(name: string): Promise<string> {
  return readFile(new URL(`chart/${name}`, MANIFESTS), "utf8");
}
