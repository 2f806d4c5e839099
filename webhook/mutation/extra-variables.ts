import type { Identity } from "../identity/identity.ts";
import type { Pod } from "../pod/pod.ts";
import { sessionNameOf } from "../../lib/session-name.ts";

export interface ExtraVariableSettings {
  /** Names the STS session after the pod. */
  readonly roleSessionName: boolean;
  /** Keeps SDKs from asking the node for credentials, so that a broken token is an error. */
  readonly disableEc2Metadata: boolean;
  readonly fipsEndpoints: boolean;
  readonly dualStackEndpoints: boolean;
}

/** A variable whose value may be the pod's own name, which Kubernetes fills in. */
export type ExtraVariable =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly valueFrom: object };

/** The variable that goes with the role: it is of no use without our own pair. */
export function sessionVariable(
  { method }: Identity,
  { roleSessionName }: ExtraVariableSettings,
  { metadata }: Pod,
): readonly ExtraVariable[] {
  if (!roleSessionName || method !== "web-identity") return [];
  const name = "AWS_ROLE_SESSION_NAME";
  // A pod of a controller is named after admission: `generateName`, cut to 58 characters, and 5 more.
  // So its name is always short enough, and Kubernetes puts it in when the container starts.
  return metadata?.name
    ? [{ name, value: sessionNameOf(metadata.name) }]
    : [{ name, valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }];
}

/** Variables for every container, whoever gave it its credentials. */
export function switchVariables(settings: ExtraVariableSettings): readonly ExtraVariable[] {
  const switches = [
    ["AWS_EC2_METADATA_DISABLED", settings.disableEc2Metadata],
    ["AWS_USE_FIPS_ENDPOINT", settings.fipsEndpoints],
    ["AWS_USE_DUALSTACK_ENDPOINT", settings.dualStackEndpoints],
  ] as const;
  return switches.filter(([, isOn]) => isOn).map(([name]) => ({ name, value: "true" }));
}
