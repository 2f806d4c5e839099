import { Counter, Gauge, type Registry } from "prom-client";
import type { Rotation } from "./rotation.ts";

export interface CertificateMetrics {
  readonly certificateExpirySeconds: Pick<Gauge, "set">;
  readonly caExpirySeconds: Pick<Gauge, "set">;
  readonly rotations: Pick<Counter<"step">, "inc"> & { inc(labels: { step: Rotation }): void };
  readonly caBundleRepairs: Pick<Counter, "inc">;
}

/** Makes the instruments of the serving certificate and of what the webhook makes for itself. */
export function createCertificateMetrics(registry: Registry): CertificateMetrics {
  const registers = [registry];
  return {
    certificateExpirySeconds: new Gauge({
      name: "irsa_webhook_certificate_expiry_timestamp_seconds",
      help: "When the serving certificate expires, in seconds since the epoch",
      registers,
    }),
    caExpirySeconds: new Gauge({
      name: "irsa_webhook_ca_expiry_timestamp_seconds",
      help: "When the CA of the serving certificate expires, in seconds since the epoch",
      registers,
    }),
    rotations: new Counter({
      name: "irsa_webhook_certificate_rotations_total",
      help: "Changes that this replica made to the stored certificates, by step",
      labelNames: ["step"],
      registers,
    }),
    caBundleRepairs: new Counter({
      name: "irsa_webhook_ca_bundle_repairs_total",
      help: "Times that this replica set the CA bundle of a webhook configuration",
      registers,
    }),
  };
}
