import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tokenAccessOf } from "./token-access.ts";

describe("tokenAccessOf", () => {
  interface Case {
    readonly isWindows?: boolean;
    readonly fsGroup?: number;
    /** User of each container; that of the reader comes first. */
    readonly users: readonly (number | undefined)[];
    readonly mode: number;
    readonly expected: readonly [access: string, reason: string];
  }
  const cases: Readonly<Record<string, Case>> = {
    "the default mode, any user": {
      users: [undefined],
      mode: 0o644,
      expected: ["readable", "root owns it, mode 0644"],
    },
    "the default mode, two users": {
      users: [1000, 2000],
      mode: 0o644,
      expected: ["readable", "root owns it, mode 0644"],
    },
    "one user for all, whatever the mode": {
      users: [1000, 1000],
      mode: 0o400,
      expected: ["readable", "user 1000 owns it, mode 0600"],
    },
    "a group, whatever the users and the mode": {
      fsGroup: 3000,
      users: [1000, undefined],
      mode: 0o400,
      expected: ["readable", "fsGroup 3000 may read it, mode 0640"],
    },
    "a closed mode and two users": {
      users: [1000, 2000],
      mode: 0o440,
      expected: ["unreadable", "root owns it, mode 0440; the user is 1000"],
    },
    "a closed mode, and another container that declares no user": {
      users: [1000, undefined],
      mode: 0o400,
      expected: ["unreadable", "root owns it, mode 0400; the user is 1000"],
    },
    "a closed mode, and root": {
      users: [0, 1000],
      mode: 0o400,
      expected: ["readable", "root owns it, mode 0400; the user is 0"],
    },
    "a closed mode, and a user that only the image knows": {
      users: [undefined, 1000],
      mode: 0o400,
      expected: ["unknown", "root owns it, mode 0400; only the image names the user"],
    },
    "a closed mode on Windows": {
      isWindows: true,
      users: [1000, 2000],
      mode: 0o400,
      expected: ["readable", "Windows enforces no owner of its file"],
    },
  };
  for (const [name, { isWindows = false, fsGroup, users, mode, expected }] of Object.entries(
    cases,
  )) {
    it(`${name}: ${expected[0]}`, () => {
      const containers = users.map((runAsUser) => ({ runAsUser }));
      const { access, reason } = tokenAccessOf({ isWindows, fsGroup, containers }, users[0], mode);
      assert.deepEqual([access, reason], expected);
    });
  }
});
