import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { METADATA_IPV4, REGION } from "./shim-world.ts";

/** Has what this network namespace asks of the metadata service come from the address of a pod. */
export async function speakAs(address: string): Promise<void> {
  const route = `route replace table local local ${METADATA_IPV4} dev lo src ${address}`;
  await promisify(execFile)("ip", route.split(" "));
}

/**
 * What an SDK knows that has nothing but the metadata service.
 *
 * @param sts The URL of STS.
 */
export function sdkEnvironment(sts: string): Readonly<Record<string, string>> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: "/nonexistent",
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_ENDPOINT_URL_STS: sts,
  };
}
