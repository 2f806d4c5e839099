import { z } from "zod";
import { partitionOfRegion } from "../../lib/arn.ts";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { instanceMetadata } from "../../lib/instance-metadata.ts";
import type { RoleAccount } from "./compose-role-arn.ts";

const InstanceIdentity = z.looseObject({
  accountId: z.string().regex(/^\d{12}$/),
  region: z.string().min(1),
});

/**
 * The account and partition of the EC2 instance this runs on, from its instance identity document
 * (EC2 User Guide, "Instance identity documents").
 *
 * @param timeoutMs Bound of each of the two requests.
 * @throws AppError METADATA_UNAVAILABLE
 */
export async function readInstanceAccount(
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
): Promise<RoleAccount> {
  try {
    const text = await instanceMetadata(env, timeoutMs).read("dynamic/instance-identity/document");
    const { accountId, region } = InstanceIdentity.parse(JSON.parse(text));
    return { accountId, partition: partitionOfRegion(region) };
  } catch (cause) {
    throw unavailable(cause instanceof z.ZodError ? "it names no account" : reasonOf(cause), cause);
  }
}

function unavailable(problem: string, cause: unknown): AppError {
  const message =
    `Cannot read the instance identity document for --compose-role-arn: ${problem}; ` +
    "give --account-id where there is none";
  return new AppError("METADATA_UNAVAILABLE", 500, message, { cause });
}
