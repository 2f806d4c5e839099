import assert from "node:assert/strict";
import type { CredentialResult, Credentials } from "../../metadata-shim/credentials/credentials.ts";

/** The credentials, or a failed test. */
export function goodOf(result: CredentialResult): Credentials {
  assert.ok(result.status === "good", JSON.stringify(result));
  return result.credentials;
}

/** Kind and code of the failure, or a failed test. */
export function failureOf(result: CredentialResult): string {
  assert.ok(result.status === "failed", "Expected a failure");
  return `${result.kind} ${result.code}`;
}
