import { z } from "zod";
import { AppError, reasonOf } from "../../lib/errors.ts";
import type { InstanceMetadata } from "../../lib/instance-metadata.ts";
import type { DiscoveredRole } from "./role-config.ts";

const InstanceInfo = z.looseObject({
  InstanceProfileArn: z
    .string()
    .regex(/^arn:[\w-]+:iam::\d{12}:instance-profile\//, "expected an instance profile"),
});

/**
 * What the role of this EC2 instance tells: partition and account for the names of roles, and its own
 * name. A path of the instance profile says nothing about other roles and is left out, as kube2iam
 * and kiam do.
 *
 * @throws AppError METADATA_UNAVAILABLE
 */
export async function discoverRole(metadata: InstanceMetadata): Promise<DiscoveredRole> {
  try {
    const info = InstanceInfo.parse(JSON.parse(await metadata.read("meta-data/iam/info")));
    const [head = ""] = info.InstanceProfileArn.split("/", 1);
    const list = await metadata.read("meta-data/iam/security-credentials/");
    const [roleName = ""] = list.split("\n", 1);
    if (roleName === "") throw new Error("the instance has no role");
    return { baseRoleArn: head.replace(/instance-profile$/, "role/"), roleName };
  } catch (cause) {
    const problem = cause instanceof z.ZodError ? "it names no instance profile" : reasonOf(cause);
    const message =
      `Cannot discover the role of this machine: ${problem}; ` +
      "give --base-role-arn where there is none";
    throw new AppError("METADATA_UNAVAILABLE", 500, message, { cause });
  }
}
