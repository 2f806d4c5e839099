import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { KubeObject } from "../../lib/kube/kube-object.ts";

/** A Mutating- or ValidatingWebhookConfiguration, as far as its trust goes. */
export const WebhookConfigurationObject = KubeObject.extend({
  webhooks: z
    .array(
      z.looseObject({
        name: z.string(),
        /** PEM in base64. */
        clientConfig: z.looseObject({ caBundle: z.string().nullish() }),
      }),
    )
    .nullish(),
});

export type WebhookConfigurationObject = z.infer<typeof WebhookConfigurationObject>;

/** One operation of a JSON Patch (RFC 6902). */
export interface CaBundleOperation {
  readonly op: "test" | "add";
  readonly path: string;
  readonly value: string;
}

/**
 * The JSON Patch that makes each webhook of a configuration trust exactly these CAs, and touches
 * nothing else; empty when they do. It applies only to the version it was made from, since webhooks
 * are told apart by their place.
 */
export function caBundlePatch(
  { metadata, webhooks }: WebhookConfigurationObject,
  caBundlePem: string,
): readonly CaBundleOperation[] {
  const value = Buffer.from(caBundlePem).toString("base64");
  const operations = (webhooks ?? []).flatMap(({ clientConfig }, i): CaBundleOperation[] =>
    clientConfig.caBundle === value
      ? []
      : [{ op: "add", path: `/webhooks/${i}/clientConfig/caBundle`, value }],
  );
  if (operations.length === 0) return [];
  const version = metadata.resourceVersion ?? "";
  return [{ op: "test", path: "/metadata/resourceVersion", value: version }, ...operations];
}

/** Names of the webhooks in a configuration that would not trust a serving certificate. */
export function distrusting(
  { webhooks }: WebhookConfigurationObject,
  servingPem: string,
): readonly string[] {
  const leaf = new X509Certificate(servingPem);
  return (webhooks ?? []).flatMap(({ name, clientConfig }) => {
    const bundle = Buffer.from(clientConfig.caBundle ?? "", "base64").toString("utf8");
    return authoritiesOf(bundle).some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
      ? []
      : [name];
  });
}

function authoritiesOf(bundlePem: string): readonly X509Certificate[] {
  const blocks = bundlePem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  return (blocks ?? []).flatMap((pem) => {
    try {
      return [new X509Certificate(pem)];
    } catch {
      return [];
    }
  });
}
