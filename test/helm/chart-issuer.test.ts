import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { missingHelm } from "./helm-program.ts";
import { ISSUER_VALUES, objectOf, podOf, renderChart } from "./rendered-chart.ts";

const skip = (await missingHelm(process.env)) ?? false;

describe("the issuer of the chart", { skip }, () => {
  it("starts with flags that it knows, and keeps its keys in the ConfigMap beside it", async () => {
    const objects = await renderChart({
      issuer: {
        ...ISSUER_VALUES.issuer,
        settings: { "jwks-max-age-seconds": 600, "retire-kid": ["a"] },
      },
    });
    const { container, env } = podOf(objects, "irsa-issuer");
    const config = issuerConfig.parse(container.args.slice(1), env);
    assert.equal(config.issuer, ISSUER_VALUES.issuer.url);
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
    const objects = await renderChart({ issuer: { ...ISSUER_VALUES.issuer, tls } });
    const { container, env } = podOf(objects, "irsa-issuer");
    const config = issuerConfig.parse(container.args.slice(1), env);
    assert.deepEqual([config.port, config.tlsCert], [8443, "/etc/irsa/certificates/tls.crt"]);
    const service = objectOf(objects, "Service", "irsa-issuer");
    assert.match(JSON.stringify(service["spec"]), /"name":"https","port":443/);
  });

  it("is routed the two documents below the path of its URL, exactly", async () => {
    const ingress = { enabled: true, className: "nginx", tlsSecretName: "oidc-tls" };
    const objects = await renderChart({ issuer: { ...ISSUER_VALUES.issuer, ingress } });
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
