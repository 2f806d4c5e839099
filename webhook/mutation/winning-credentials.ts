import type { Identity } from "../identity/identity.ts";
import type { Container } from "../pod/pod.ts";

/**
 * Variables that come first in the default credential chain of some AWS SDK, by what they would push
 * aside. Web identity comes before container credentials in all of them but one: the SDK for
 * JavaScript v2 asks a container endpoint first.
 */
const WINNERS: Readonly<Record<Identity["method"], readonly string[]>> = {
  "web-identity": [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
  ],
  "container-credentials": [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  ],
};

/**
 * Variables of a container that SDKs use instead of its identity (AWS SDKs and Tools Reference Guide,
 * "Standardized credential providers", which leaves the order to each SDK). What `envFrom` brings is
 * not known here.
 */
export function winningVariablesOf(
  { env }: Container,
  method: Identity["method"],
): readonly string[] {
  return WINNERS[method].filter((winner) =>
    env?.some(
      ({ name, value, valueFrom }) =>
        name === winner && (Boolean(value) || (valueFrom !== undefined && valueFrom !== null)),
    ),
  );
}
