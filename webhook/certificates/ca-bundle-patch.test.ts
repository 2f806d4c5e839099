import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { caBundlePatch, distrusting, WebhookConfigurationObject } from "./ca-bundle-patch.ts";

const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
const [ca, other] = await Promise.all([
  createAuthority("one", validity),
  // The same name: only the key tells them apart.
  createAuthority("one", validity),
]);
const { cert } = await issueServingCertificate(ca, ["webhook"], validity);

const base64 = (text: string): string => Buffer.from(text).toString("base64");

function configuration(
  ...bundles: readonly (string | null | undefined)[]
): WebhookConfigurationObject {
  return WebhookConfigurationObject.parse({
    metadata: { name: "irsa-anywhere", resourceVersion: "7" },
    webhooks: bundles.map((caBundle, i) => ({
      name: `w${i}`,
      failurePolicy: "Ignore",
      clientConfig: { service: { name: "webhook", namespace: "eks" }, caBundle },
    })),
  });
}

describe("caBundlePatch", () => {
  it("is empty when all is right", () => {
    assert.deepEqual(caBundlePatch(configuration(base64(ca.cert), base64(ca.cert)), ca.cert), []);
  });

  for (const [name, object] of [
    ["no webhooks", configuration()],
    ["webhooks that are null", { metadata: { name: "x" }, webhooks: null }],
  ] as const) {
    it(`is empty for ${name}`, () => assert.deepEqual(caBundlePatch(object, ca.cert), []));
  }

  for (const [name, bundle] of [
    ["none", undefined],
    ["null", null],
    ["an empty one", ""],
    ["another", base64(other.cert)],
    ["one more", base64(ca.cert + other.cert)],
  ] as const) {
    it(`sets that field alone where there is ${name}`, () => {
      assert.deepEqual(caBundlePatch(configuration(base64(ca.cert), bundle), ca.cert), [
        { op: "test", path: "/metadata/resourceVersion", value: "7" },
        { op: "add", path: "/webhooks/1/clientConfig/caBundle", value: base64(ca.cert) },
      ]);
    });
  }
});

describe("distrusting", () => {
  for (const [name, bundle, isTrusted] of [
    ["its CA", base64(ca.cert), true],
    ["its CA among others", base64(`${other.cert}${ca.cert}`), true],
    ["its CA after a comment", base64(`# ours\n${ca.cert}`), true],
    ["a CA of the same name", base64(other.cert), false],
    ["nothing", undefined, false],
    ["garbage", base64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), false],
    ["no base64", "%%", false],
  ] as const) {
    it(`${isTrusted ? "does not name" : "names"} a webhook that has ${name}`, () => {
      assert.deepEqual(distrusting(configuration(bundle), cert), isTrusted ? [] : ["w0"]);
    });
  }
});
