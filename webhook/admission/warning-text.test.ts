import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { defineConfig } from "../../lib/config.ts";
import {
  givenRoleAccount,
  MUTATION_SETTINGS,
  mutationSettingsOf,
} from "../mutation/mutation-config.ts";
import { mutationOf } from "../mutation/mutation.ts";
import { parseNamespacePolicy } from "../../lib/namespace-policy.ts";
import { parsePod } from "../pod/pod.ts";
import { validateNamespace } from "../validation/validate-namespace.ts";
import { validateServiceAccount } from "../validation/validate-service-account.ts";

/** Far more than any sentence needs; annotations may hold 256 KiB. */
const MAX_LENGTH = 1024;

const config = defineConfig(MUTATION_SETTINGS);
const P = "eks.amazonaws.com";
const ROLE = "arn:aws:iam::111122223333:role/";

/** Texts of a user who is careless, or means harm: control characters, too long, unfinished. */
const written = fc
  .tuple(
    fc.constantFrom("", ROLE, "arn:aws:iam::1:role/", "arn:aws:sts::111122223333:assumed-role/"),
    fc.array(
      fc.constantFrom(
        "a",
        "/",
        ":",
        " ",
        "\n",
        "\u0000",
        "\u0007",
        "\u001b[31m",
        "\u007f",
        "\u0085",
        '"',
        "é",
        "\ud83d",
      ),
      { maxLength: 8 },
    ),
    fc.constantFrom(1, 50_000),
  )
  .map(([start, parts, times]) => start + parts.join("").repeat(times));

/** The API server passes a warning on only without control characters (Go's `unicode.IsControl`). */
function assertSendable(texts: readonly string[]): void {
  for (const text of texts) {
    assert.doesNotMatch(text, /\p{Cc}/u);
    assert.ok(text.length <= MAX_LENGTH, `${text.length} characters: ${text.slice(0, 200)}`);
  }
}

describe("a warning or a denial", () => {
  it("of a pod is one that the API server passes on, whatever it is about", () => {
    const flags = fc.constantFrom([], ["--compose-role-arn", "--account-id=111122223333"]);
    fc.assert(
      fc.property(written, written, written, flags, (role, other, name, argv) => {
        const parsed = config.parse(argv, {});
        for (const tier of ["enabled", "required"] as const) {
          for (const namespace of [
            {},
            { "irsa-anywhere.io/allowed-roles": JSON.stringify([`${ROLE}x/*`, other]) },
            { "irsa-anywhere.io/allowed-roles": "[]", "irsa-anywhere.io/default-role": role },
          ]) {
            const { warnings, denial = "" } = mutationOf({
              tier,
              policy: parseNamespacePolicy(namespace).policy,
              settings: mutationSettingsOf(parsed, givenRoleAccount(parsed)),
              serviceAccount: {
                status: "found",
                annotations: {
                  ...("irsa-anywhere.io/default-role" in namespace
                    ? {}
                    : { [`${P}/role-arn`]: role }),
                  [`${P}/audience`]: other,
                  [`${P}/token-expiration`]: other,
                  [`${P}/sts-regional-endpoints`]: other,
                },
              },
              pod: parsePod({
                metadata: {
                  annotations: {
                    [`${P}/token-expiration`]: other,
                    [`${P}/skip-containers`]: other,
                    [`${P}/include-containers`]: name,
                  },
                },
                spec: {
                  serviceAccountName: "app",
                  containers: [
                    { name, env: [{ name: "AWS_ACCESS_KEY_ID", value: other }] },
                    {
                      name,
                      volumeMounts: [
                        { name: other, mountPath: `/var/run/secrets/${P}/serviceaccount/${other}` },
                      ],
                    },
                  ],
                  volumes: [{ name: other }],
                },
              }),
            });
            assertSendable([...warnings, denial]);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("of a ServiceAccount or a Namespace is one, too", () => {
    const settings = {
      annotationPrefix: P,
      roleAccount: undefined,
      audience: "sts.amazonaws.com",
      region: "cn-north-1",
    };
    fc.assert(
      fc.property(written, written, (role, other) => {
        const annotations = {
          [`${P}/role-arn`]: role,
          [`${P}/audience`]: other,
          [`${P}/token-expiration`]: other,
          [`${P}/sts-regional-endpoints`]: other,
        };
        const allowed = { "irsa-anywhere.io/allowed-roles": `["${ROLE}x"]` };
        const { policy } = parseNamespacePolicy(allowed);
        assertSendable(validateServiceAccount({ annotations, labels: {} }, settings, policy));
        for (const roles of [other, JSON.stringify([other, role])]) {
          const of = {
            "irsa-anywhere.io/allowed-roles": roles,
            "irsa-anywhere.io/default-role": role,
            "irsa-anywhere.io/default-region": other,
            "irsa-anywhere.io/default-audience": other,
          };
          const labels = { "irsa-anywhere.io/injection": other };
          assertSendable(validateNamespace({ annotations: of, labels }, settings));
        }
      }),
      { numRuns: 60 },
    );
  });
});
