import type { V1Container } from "@kubernetes/client-node";
import { BOTO3_IMAGE } from "../boto3-image.ts";
import * as workloads from "../workloads.ts";
import { NODES } from "./watchers.ts";

/** An SDK that asks again and again who it is, in a pod on each node. */
export interface RepeatingSdk {
  /** In words. */
  readonly title: string;
  /** The names of its pods, in the order of the nodes. */
  readonly apps: readonly string[];
  /** Why it cannot run here. */
  readonly skip: string | false;
  readonly container: Partial<V1Container>;
}

/** The pods of the SDK that asks by IPv6 are named so, and by their node. */
export const BY_IPV6 = "v3-ipv6";

/** @param skipPython Why there is none of Python. */
export function repeatingSdks(skipPython: string | false): readonly RepeatingSdk[] {
  const boto3 = { image: BOTO3_IMAGE, args: ["/client/boto3_repeat.py"] };
  return [
    sdk("the SDK for JavaScript v3", "v3", false, { args: ["/client/repeat-v3.mjs"] }),
    sdk("the SDK for JavaScript v3 by IPv6", BY_IPV6, false, {
      args: ["/client/repeat-v3.mjs"],
      env: [{ name: "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", value: "IPv6" }],
    }),
    sdk("the SDK for JavaScript v2", "v2", false, { args: ["/client/repeat-v2.mjs"] }),
    sdk("boto3", "boto3", skipPython, boto3),
  ];
}

function sdk(
  title: string,
  name: string,
  skip: string | false,
  container: Partial<V1Container>,
): RepeatingSdk {
  return { title, apps: NODES.map((nodeName) => `${name}-${nodeName}`), skip, container };
}

/** The pods of those that can run here. */
export function podsOf(sdks: readonly RepeatingSdk[]): readonly object[] {
  return sdks
    .filter(({ skip }) => skip === false)
    .flatMap(({ apps, container }) =>
      NODES.map((nodeName, i) => {
        const containers = [workloads.client("app", container)];
        return workloads.endingPod(apps[i] ?? "", { nodeName, containers });
      }),
    );
}
