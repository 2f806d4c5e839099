import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ValidationSettings } from "./validate-service-account.ts";
import { validateNamespace } from "./validate-namespace.ts";

const ROLE = "arn:aws:iam::111122223333:role/reader";
const LABEL = "irsa-anywhere.io/injection";
const ALLOWED = "irsa-anywhere.io/allowed-roles";
const SETTINGS: ValidationSettings = {
  annotationPrefix: "eks.amazonaws.com",
  roleAccount: undefined,
  audience: "sts.amazonaws.com",
  region: "eu-central-1",
};

type Texts = Readonly<Record<string, string>>;

function problemsOf(labels: Texts, annotations: Texts = {}): readonly string[] {
  return validateNamespace({ labels, annotations }, SETTINGS);
}

describe("validateNamespace accepts", () => {
  for (const [name, labels, annotations] of [
    ["nothing", {}, {}],
    ["a tier", { [LABEL]: "enabled" }, {}],
    ["the other tier", { [LABEL]: "required" }, {}],
    ["to be left alone", { [LABEL]: "disabled" }, {}],
    [
      "a whole policy",
      {},
      {
        [ALLOWED]: `["${ROLE}*"]`,
        "irsa-anywhere.io/default-role": ROLE,
        "irsa-anywhere.io/default-region": "us-east-1",
        "irsa-anywhere.io/default-audience": "sts.amazonaws.com",
      },
    ],
    ["kube2iam's policy", {}, { "iam.amazonaws.com/allowed-roles": '["reader"]' }],
    ["what is somebody else's", { "istio-injection": "enabled" }, { "example.com/injection": "x" }],
  ] as const satisfies readonly (readonly [string, Texts, Texts])[]) {
    it(name, () => assert.deepEqual(problemsOf(labels, annotations), []));
  }
});

describe("validateNamespace says what to write instead of the label", () => {
  for (const [key, value, problem] of [
    [LABEL, "enable", '"enable" is unknown and counts as absent: write enabled'],
    [LABEL, "Required", '"Required" is unknown and counts as absent: write required'],
    [LABEL, "true", '"true" is unknown and counts as absent: write enabled'],
    [LABEL, "off", '"off" is unknown and counts as absent: write disabled'],
    [LABEL, "", '"" is unknown and counts as absent: write enabled or required'],
    [LABEL, "strict", '"strict" is unknown and counts as absent: write enabled or required'],
    ["irsa-anywhere.io/Injection", "enabled", `is not read: write ${LABEL}`],
    ["irsa-anywhere/injection", "enabled", `is not read: write ${LABEL}`],
    ["irsa-anywhere.io/default-region", "x", "is not read: write it as an annotation"],
  ] as const) {
    it(`${key}=${value}`, () => {
      assert.deepEqual(problemsOf({ [key]: value }), [`label ${key} ${problem}`]);
    });
  }
});

describe("validateNamespace says what to write instead of the annotation", () => {
  const example = '["arn:aws:iam::111122223333:role/team/*"]';
  for (const [key, value, problem] of [
    [ALLOWED, "reader", `"reader" allows no role: expected a JSON array, ${example}`],
    [ALLOWED, '["reader"]', `entry "reader" allows no role: expected an ARN or glob, ${example}`],
    ["irsa-anywhere.io/allowed_roles", "[]", `is not read: write ${ALLOWED}`],
    ["irsa-anywhere.io/allowed-role", "[]", `is not read: write ${ALLOWED}`],
    [
      "irsa-anywhere.io/else",
      "x",
      "is not read: known are irsa-anywhere.io/allowed-roles, irsa-anywhere.io/default-role, " +
        "irsa-anywhere.io/default-region, irsa-anywhere.io/default-audience",
    ],
    [LABEL, "enabled", "is not read: write it as a label"],
    [
      "eks.amazonaws.com/role-arn",
      ROLE,
      "is not read on a namespace: write irsa-anywhere.io/default-role, or annotate its ServiceAccounts",
    ],
    [
      "irsa-anywhere.io/default-role",
      "reader",
      '"reader" is a name: write arn:aws:iam::ACCOUNT:role/reader',
    ],
    ["irsa-anywhere.io/default-role", "", "is empty: expected a role ARN"],
    [
      "irsa-anywhere.io/default-role",
      "arn:aws-cn:iam::111122223333:role/reader",
      "is a role of partition aws-cn, but region eu-central-1 is in aws: " +
        "write arn:aws:iam::ACCOUNT:role/NAME",
    ],
    [
      "irsa-anywhere.io/default-region",
      "eu-central",
      '"eu-central" ignored: expected a region such as eu-central-1',
    ],
    [
      "irsa-anywhere.io/default-audience",
      "",
      '"" ignored: expected an audience such as sts.amazonaws.com',
    ],
  ] as const) {
    it(`${key}: ${value}`, () => {
      assert.deepEqual(problemsOf({}, { [key]: value }), [`annotation ${key} ${problem}`]);
    });
  }

  it("a default role that the policy itself does not allow", () => {
    const annotations = { [ALLOWED]: "[]", "irsa-anywhere.io/default-role": ROLE };
    assert.deepEqual(problemsOf({}, annotations), [
      `annotation irsa-anywhere.io/default-role "${ROLE}" is not in ${ALLOWED}: add it there`,
    ]);
  });
});
