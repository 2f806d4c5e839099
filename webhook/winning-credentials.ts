import type { Identity } from "./identity.ts";
import type { Container } from "./pod.ts";

/** Variables that come first in the credential chains of AWS SDKs, by what they would push aside. */
const WINNERS: Readonly<Record<Identity["method"], readonly string[]>> = {
  // Container credentials come after web identity in all SDKs, so they push nothing aside.
  "web-identity": ["AWS_ACCESS_KEY_ID"],
  "container-credentials": [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  ],
};

/**
 * Variables of a container that SDKs use instead of its identity (AWS SDKs and Tools Reference Guide,
 * "Standardized credential providers"). What `envFrom` brings is not known here.
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
