import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { roleArnProblem } from "./role-arn-problem.ts";

const ARN = "arn:aws:iam::111122223333:role/reader";

describe("roleArnProblem", () => {
  for (const written of [ARN, "arn:aws-cn:iam::111122223333:role/team/reader"]) {
    it(`finds nothing wrong with ${written}`, () => {
      assert.equal(roleArnProblem(written), undefined);
    });
  }

  for (const [written, problem, wanted] of [
    ["", "is empty", "arn:aws:iam::ACCOUNT:role/NAME"],
    [" ", "is empty", "arn:aws:iam::ACCOUNT:role/NAME"],
    [` ${ARN}\n`, "has white space around it", ARN],
    [" reader", "has white space around it", "arn:aws:iam::ACCOUNT:role/reader"],
    [`"${ARN}"`, "has quotes in it", ARN],
    [`' "${ARN}" '`, "has quotes in it", ARN],
    [` "${ARN}"`, "has white space around it", ARN],
    ['"'.repeat(200_001), "has quotes in it", "arn:aws:iam::ACCOUNT:role/NAME"],
    [
      `${' "'.repeat(50_000)}x${'" '.repeat(50_000)}`,
      "has white space around it",
      "arn:aws:iam::ACCOUNT:role/x",
    ],
    ["reader", "is a name", "arn:aws:iam::ACCOUNT:role/reader"],
    ["role/team/reader", "is a name", "arn:aws:iam::ACCOUNT:role/team/reader"],
    ["{{ role }}", "is no ARN", "arn:aws:iam::ACCOUNT:role/NAME"],
    [
      "arn:aws:iam::111122223333:user/bob",
      'is for "user", no role',
      "arn:aws:iam::111122223333:role/NAME",
    ],
    [
      "arn:aws:iam::111122223333:instance-profile/node",
      'is for "instance-profile", no role',
      "arn:aws:iam::111122223333:role/NAME",
    ],
    ["arn:aws:sts::111122223333:assumed-role/reader/me", "is a session of a role", ARN],
    [
      "arn:aws:sts::111122223333:assumed-role/re\nader/me",
      "is a session of a role",
      "arn:aws:iam::111122223333:role/NAME",
    ],
    [
      "arn:aws:iam::111122223333:us\u0007er/bob",
      "is for something else, no role",
      "arn:aws:iam::111122223333:role/NAME",
    ],
    [
      `arn:aws:iam::1:role/${"a".repeat(65)}`,
      "has no account of 12 digits",
      "arn:aws:iam::ACCOUNT:role/NAME",
    ],
    [
      "arn:aws:iam::111122223333:role:reader",
      'is for "role:reader", no role',
      "arn:aws:iam::111122223333:role/NAME",
    ],
    [
      "arn:aws:iam::1111:role/team/reader",
      "has no account of 12 digits",
      "arn:aws:iam::ACCOUNT:role/team/reader",
    ],
    ["arn:aws:iam:eu-central-1:111122223333:role/reader", "names a region, which no role has", ARN],
    [
      "arn:aws:iam::1111-2222-3333:role/reader",
      "has no account of 12 digits",
      "arn:aws:iam::ACCOUNT:role/reader",
    ],
    ["arn:aws:iam::111122223333:role/", "is no role ARN", "arn:aws:iam::111122223333:role/NAME"],
    [
      "arn:aws:iam::111122223333:reader",
      'is for "reader", no role',
      "arn:aws:iam::111122223333:role/NAME",
    ],
    ["arn:amazon:iam::111122223333:role/reader", "is no role ARN", ARN],
    ["ARN:aws:iam::111122223333:role/reader", "is no role ARN", ARN],
    [
      `arn:aws:iam::111122223333:role/${"a".repeat(65)}`,
      "is no role ARN",
      "arn:aws:iam::111122223333:role/NAME",
    ],
  ] as const) {
    it(`says that ${JSON.stringify(written).slice(0, 60)} ${problem}`, () => {
      assert.deepEqual(roleArnProblem(written), { problem, wanted });
    });
  }
});
