import assert from "node:assert/strict";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse, stringify } from "yaml";
import { inject, ROLE_ARN } from "../../test/fakes/run-inject.ts";

function temporaryFolder(): ReturnType<typeof mkdtempDisposable> {
  return mkdtempDisposable(join(tmpdir(), "irsa-inject-"));
}

function pod(metadata: object, spec: object): string {
  return stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "web", ...metadata }, spec });
}

function account(metadata: object): string {
  const annotations = { "eks.amazonaws.com/role-arn": ROLE_ARN };
  const manifest = { kind: "ServiceAccount", metadata: { ...metadata, annotations } };
  return stringify({ apiVersion: "v1", ...manifest });
}

describe("irsa inject", () => {
  describe("finds the ServiceAccount", () => {
    const containers = [{ name: "web" }];
    const app = { serviceAccountName: "app", containers };
    for (const [name, accountMetadata, podMetadata, podSpec, args, note] of [
      ["by namespace and name", { namespace: "a", name: "app" }, { namespace: "a" }, app, [], ""],
      ["without a namespace, anywhere", { name: "app" }, { namespace: "a" }, app, [], ""],
      ["in `default`", { namespace: "default", name: "app" }, {}, app, [], ""],
      [
        "in the default namespace given",
        { namespace: "a", name: "app" },
        {},
        app,
        ["--default-namespace=a"],
        "",
      ],
      ["`default`, where none is named", { name: "default" }, {}, { containers }, [], ""],
      ["by the old field", { name: "app" }, {}, { serviceAccount: "app", containers }, [], ""],
      [
        "not in another namespace",
        { namespace: "b", name: "app" },
        { namespace: "a" },
        app,
        [],
        "ServiceAccount a/app is in none of the files",
      ],
      [
        "not in another namespace than `default`",
        { namespace: "b", name: "app" },
        {},
        app,
        [],
        "ServiceAccount default/app is in none of the files",
      ],
      [
        "not by another name",
        { name: "other" },
        {},
        app,
        [],
        "ServiceAccount default/app is in none of the files",
      ],
    ] as const) {
      it(name, async () => {
        await using folder = await temporaryFolder();
        const file = join(folder.path, "account.yaml");
        await writeFile(file, account(accountMetadata));
        const { notes } = await inject(
          pod(podMetadata, podSpec),
          `--service-account-file=${file}`,
          ...args,
        );
        assert.match(String(notes[0]), note === "" ? /: injected / : new RegExp(`${note}$`));
      });
    }

    it("in a List, as kubectl prints them, and in JSON", async () => {
      await using folder = await temporaryFolder();
      const file = join(folder.path, "accounts.json");
      const items = [parse(account({ name: "other" })), parse(account({ name: "app" }))];
      await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
      const { notes } = await inject(pod({}, app), `--service-account-file=${file}`);
      assert.match(String(notes[0]), /: injected /);
    });

    it("among the manifests themselves", async () => {
      const { notes } = await inject(`${account({ name: "app" })}---\n${pod({}, app)}`);
      assert.match(String(notes[1]), /: injected /);
    });
  });
});
