import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { defineConfig } from "../../lib/config.ts";
import { legacySessionName } from "./legacy-session-name.ts";
import { ROLE_SETTINGS, roleSettingsOf } from "./role-config.ts";

const ROLE = "arn:aws:iam::111122223333:role/team/my-role";
const KEY = "iam.amazonaws.com/session-name";

function nameOf(
  argv: readonly string[],
  annotation?: string,
  roleArn = ROLE,
  address = "127.0.0.2",
): string | undefined {
  const settings = roleSettingsOf(defineConfig(ROLE_SETTINGS).parse(argv, {}), undefined);
  const podAnnotations = annotation === undefined ? {} : { [KEY]: annotation };
  return legacySessionName({ address, podAnnotations }, roleArn, settings);
}

describe("legacySessionName", () => {
  it("is none where sessions are named after the pod", () => {
    for (const profile of ["strict", "kube2iam", "kiam"]) {
      assert.equal(nameOf([`--profile=${profile}`]), undefined);
    }
  });

  it("is that of the pod's annotation in kiam's profile, and in no other", () => {
    assert.equal(nameOf(["--profile=kiam"], "team/a b"), "kiam-team-a-b");
    assert.equal(nameOf(["--profile=kube2iam"], "team/a b"), undefined);
    assert.equal(nameOf(["--profile=strict"], "team/a b"), undefined);
  });

  it("is kiam's where that is asked for", () => {
    assert.equal(nameOf(["--session-name-format=kiam"]), "kiam-kiam");
    assert.equal(nameOf(["--session-name-format=kiam", "--session=ours"]), "kiam-ours");
  });

  it("is kube2iam's where that is asked for: a hash of the address, and the role's name", () => {
    const argv = ["--session-name-format=kube2iam"];
    // The hash begins with a zero, which kube2iam leaves out.
    assert.equal(nameOf(argv), "7a3cf8b-my-role");
    // The vector of the FNV specification.
    assert.equal(nameOf(argv, undefined, ROLE, "foobar"), "bf9cf968-my-role");
  });

  it("is always one that STS takes", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: "binary" }), (annotation) => {
        assert.match(nameOf(["--profile=kiam"], annotation) ?? "", /^[\w+=,.@-]{2,64}$/);
      }),
    );
  });
});
