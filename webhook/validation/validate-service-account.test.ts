import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NamespacePolicy } from "../../lib/namespace-policy.ts";
import { validateServiceAccount, type ValidationSettings } from "./validate-service-account.ts";

const P = "eks.amazonaws.com";
const ROLE = "arn:aws:iam::111122223333:role/reader";
const SETTINGS: ValidationSettings = {
  annotationPrefix: P,
  roleAccount: undefined,
  audience: "sts.amazonaws.com",
  region: "",
};

function problemsOf(
  annotations: Readonly<Record<string, string | null>>,
  settings: Partial<ValidationSettings> = {},
  policy: NamespacePolicy = {},
): readonly string[] {
  return validateServiceAccount({ annotations, labels: {} }, { ...SETTINGS, ...settings }, policy);
}

describe("validateServiceAccount accepts", () => {
  const good: readonly (readonly [string, Readonly<Record<string, string | null>>])[] = [
    ["no annotations", {}],
    [
      "all that is read",
      {
        [`${P}/role-arn`]: ROLE,
        [`${P}/audience`]: "sts.amazonaws.com",
        [`${P}/token-expiration`]: "600",
        [`${P}/sts-regional-endpoints`]: "T",
      },
    ],
    ["the longest life of a token", { [`${P}/token-expiration`]: "4294967296" }],
    ["a value that is null", { [`${P}/role-arn`]: null }],
    [
      "a role of another partition where no region is known",
      {
        [`${P}/role-arn`]: "arn:aws-cn:iam::111122223333:role/reader",
      },
    ],
    [
      "what is somebody else's",
      {
        "example.com/role-arn": "x",
        "vault.hashicorp.com/role": "x",
        "iam.gke.io/gcp-service-account": "x",
        "azure.workload.identity/client-id": "x",
        "meta.helm.sh/release-name": "x",
        "services.k8s.aws/owner-account-id": "x",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "team.aws.example.com/audience": "x",
        audience: "x",
      },
    ],
  ];
  for (const [name, annotations] of good) {
    it(name, () => assert.deepEqual(problemsOf(annotations), []));
  }

  it("AWS's prefix beside one of its own, as in a fleet that moves", () => {
    const annotations = { [`${P}/role-arn`]: ROLE };
    assert.deepEqual(problemsOf(annotations, { annotationPrefix: "irsa.example.com" }), []);
  });

  it("a bare name where names are composed", () => {
    const roleAccount = { accountId: "111122223333", partition: "aws" };
    assert.deepEqual(problemsOf({ [`${P}/role-arn`]: "team/reader" }, { roleAccount }), []);
  });

  it("a role that the namespace allows", () => {
    const policy = { allowedRoles: ["arn:aws:iam::111122223333:role/*"] };
    assert.deepEqual(problemsOf({ [`${P}/role-arn`]: ROLE }, {}, policy), []);
  });
});

const write = (wanted: string): string => `is not read: write ${P}/${wanted}`;

describe("validateServiceAccount says what to write instead of", () => {
  for (const [key, value, problem] of [
    // The domain.
    ["eks.amazon.com/role-arn", ROLE, write("role-arn")],
    ["eks.amazonaws.org/role-arn", ROLE, write("role-arn")],
    ["eks.aws.com/role-arn", ROLE, write("role-arn")],
    ["sts.amazonaws.com/role-arn", ROLE, write("role-arn")],
    ["iam.amazonaws.com/role-arn", ROLE, write("role-arn")],
    ["eks.amazonaw.com/audience", "x", write("audience")],
    ["irsa-anywhere.io/role-arn", ROLE, write("role-arn")],
    ["role-arn", ROLE, write("role-arn")],
    // The name.
    [`${P}/role_arn`, ROLE, write("role-arn")],
    [`${P}/roleArn`, ROLE, write("role-arn")],
    [`${P}/role`, ROLE, write("role-arn")],
    [`${P}/sts-regional-endpoint`, "true", write("sts-regional-endpoints")],
    [`${P}/token-expirations`, "600", write("token-expiration")],
    [
      `${P}/else`,
      "x",
      "is not read: known are role-arn, audience, token-expiration, sts-regional-endpoints",
    ],
    // The object.
    [`${P}/skip-containers`, "app", "is not read on a ServiceAccount: write it on the pod"],
    [
      "irsa-anywhere.io/allowed-roles",
      "[]",
      "is not read on a ServiceAccount: write it on the namespace",
    ],
    [
      "iam.amazonaws.com/role",
      "reader",
      `is kube2iam's, for pods: write ${P}/role-arn with the role's ARN`,
    ],
    // The role.
    [`${P}/role-arn`, "", "is empty: write arn:aws:iam::ACCOUNT:role/NAME"],
    [`${P}/role-arn`, `${ROLE} `, `"${ROLE} " has white space around it: write ${ROLE}`],
    [`${P}/role-arn`, "reader", '"reader" is a name: write arn:aws:iam::ACCOUNT:role/reader'],
    [
      `${P}/role-arn`,
      "arn:aws:iam::111122223333:user/bob",
      '"arn:aws:iam::111122223333:user/bob" is for "user", no role: ' +
        "write arn:aws:iam::111122223333:role/NAME",
    ],
    [
      `${P}/role-arn`,
      "arn:aws:iam::1234:role/reader",
      '"arn:aws:iam::1234:role/reader" has no account of 12 digits: ' +
        "write arn:aws:iam::ACCOUNT:role/reader",
    ],
    // The rest.
    [`${P}/audience`, "", "is empty, sts.amazonaws.com is used: write an audience or remove it"],
    [
      `${P}/audience`,
      "sts.amazonaws.com\n",
      '"sts.amazonaws.com\\n" has white space in it: write sts.amazonaws.com',
    ],
    [`${P}/audience`, " ", '" " has white space in it: write sts.amazonaws.com'],
    [
      `${P}/token-expiration`,
      "1h",
      '"1h" is no number of seconds and not used: write 86400 for a day',
    ],
    [`${P}/token-expiration`, "599", '"599" is raised to 600, the least Kubernetes allows'],
    [
      `${P}/token-expiration`,
      "4294967297",
      '"4294967297" is not used: Kubernetes allows 4294967296 seconds at most',
    ],
    [
      `${P}/sts-regional-endpoints`,
      "regional",
      '"regional" is no boolean and not used: write "true"',
    ],
    [`${P}/sts-regional-endpoints`, "tRUE", '"tRUE" is no boolean and not used: write "true"'],
    [
      `${P}/sts-regional-endpoints`,
      "legacy",
      '"legacy" is no boolean and not used: write "true" or "false"',
    ],
  ] as const) {
    it(`${key}: ${JSON.stringify(value)}`, () => {
      assert.deepEqual(problemsOf({ [key]: value }), [`annotation ${key} ${problem}`]);
    });
  }

  for (const [where, settings, policy] of [
    ["the webhook's region", { region: "eu-central-1" }, {}],
    ["the namespace's", { region: "cn-north-1" }, { defaultRegion: "eu-central-1" }],
  ] as const) {
    it(`a role of another partition than ${where}`, () => {
      const annotations = { [`${P}/role-arn`]: "arn:aws-cn:iam::111122223333:role/reader" };
      assert.deepEqual(problemsOf(annotations, settings, policy), [
        `annotation ${P}/role-arn is a role of partition aws-cn, but region eu-central-1 is in aws: ` +
          "write arn:aws:iam::ACCOUNT:role/NAME",
      ]);
    });
  }

  it("a role that the namespace does not allow", () => {
    assert.deepEqual(problemsOf({ [`${P}/role-arn`]: ROLE }, {}, { allowedRoles: [] }), [
      `annotation ${P}/role-arn "${ROLE}" is not in the namespace's irsa-anywhere.io/allowed-roles: ` +
        "use a role that is, or have it added there",
    ]);
  });

  it("a label of namespaces", () => {
    const labels = { "irsa-anywhere.io/injection": "enabled" };
    assert.deepEqual(validateServiceAccount({ annotations: {}, labels }, SETTINGS), [
      "label irsa-anywhere.io/injection is not read on a ServiceAccount: label its namespace or its pods",
    ]);
  });
});
