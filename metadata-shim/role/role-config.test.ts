import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defineConfig } from "../../lib/config.ts";
import { checkRoleConfig, ROLE_SETTINGS, roleConfigWarnings } from "./role-config.ts";

const reader = defineConfig(ROLE_SETTINGS, checkRoleConfig);
const warningsOf = (argv: readonly string[]) => roleConfigWarnings(reader.parse(argv, {}));

describe("what opens a hole", () => {
  it("is told at the start", () => {
    assert.deepEqual(warningsOf([]), []);
    assert.deepEqual(warningsOf(["--profile=kiam", "--disable-strict-namespace-regexp"]), [
      "--disable-strict-namespace-regexp: a namespace gets every role that contains what it names",
    ]);
    const unanchored = [
      "--profile=kube2iam",
      "--namespace-restrictions",
      "--insecure-unanchored-namespace-regexp",
    ];
    assert.deepEqual(warningsOf(unanchored), [
      "--insecure-unanchored-namespace-regexp: a namespace gets every role that contains what it names",
    ]);
  });
});

describe("a flag that the profile does not follow", () => {
  const byKube2iam = "not followed in the profile strict: --profile kube2iam follows it";
  const byBoth = "not followed in the profile strict: --profile kube2iam or kiam follows it";
  const restricted =
    "not followed in the profile kiam: --profile kube2iam follows it; kiam always lets namespaces have the roles of their iam.amazonaws.com/permitted only";
  const cases: readonly (readonly [argv: readonly string[], warnings: readonly string[]])[] = [
    [["--iam-role-key=role"], [`--iam-role-key ${byBoth}`]],
    [["--iam-role-key=iam.amazonaws.com/role"], [`--iam-role-key ${byBoth}`]],
    [["--iam-external-id=id"], [`--iam-external-id ${byBoth}`]],
    [["--namespace-key=roles"], [`--namespace-key ${byKube2iam}`]],
    [["--namespace-restriction-format=glob"], [`--namespace-restriction-format ${byKube2iam}`]],
    [
      ["--insecure-unanchored-namespace-regexp"],
      [`--insecure-unanchored-namespace-regexp ${byKube2iam}`],
    ],
    [["--insecure-unanchored-namespace-regexp=false"], []],
    [
      ["--disable-strict-namespace-regexp"],
      [
        "--disable-strict-namespace-regexp not followed in the profile strict: --profile kiam follows it",
      ],
    ],
    [
      ["--profile=kube2iam", "--disable-strict-namespace-regexp"],
      [
        "--disable-strict-namespace-regexp not followed in the profile kube2iam: --profile kiam follows it",
      ],
    ],
    [["--profile=kube2iam", "--no-disable-strict-namespace-regexp"], []],
    [["--profile=kiam", "--namespace-restrictions"], [`--namespace-restrictions ${restricted}`]],
    [
      ["--profile=kiam", "--namespace-key=roles"],
      ["--namespace-key not followed in the profile kiam: --profile kube2iam follows it"],
    ],
    [["--profile=kiam", "--iam-role-key=role", "--iam-external-id=id"], []],
    [
      ["--profile=kube2iam", "--namespace-key=roles", "--namespace-restriction-format=regexp"],
      [
        "--namespace-restriction-format has no effect without --namespace-restrictions",
        "--namespace-key has no effect without --namespace-restrictions",
      ],
    ],
    [["--profile=kube2iam", "--namespace-restrictions", "--namespace-key=roles"], []],
    [["--session=team"], ["--session has no effect without --session-name-format=kiam"]],
    [
      ["--profile=kiam", "--session=team"],
      ["--session has no effect without --session-name-format=kiam"],
    ],
    [["--session=team", "--session-name-format=kiam"], []],
  ];
  for (const [argv, warnings] of cases) {
    it(`is named with what to do: ${argv.join(" ")}`, () => {
      assert.deepEqual(warningsOf(argv), warnings);
    });
  }

  it("is named also when the environment gives it", () => {
    const config = reader.parse([], { IRSA_IAM_ROLE_KEY: "role" });
    assert.deepEqual(roleConfigWarnings(config), [`--iam-role-key ${byBoth}`]);
  });

  it("stops the start where it is a restriction that nothing replaces", () => {
    for (const [argv, env] of [
      [["--namespace-restrictions"], {}],
      [[], { IRSA_NAMESPACE_RESTRICTIONS: "true" }],
    ] as const) {
      assert.throws(() => reader.parse(argv, env), {
        code: "CONFIG_INVALID",
        message:
          /--namespace-restrictions is not followed in the profile strict: .*--profile kube2iam/,
      });
    }
    assert.equal(reader.parse(["--namespace-restrictions=false"], {}).namespaceRestrictions, false);
  });
});
