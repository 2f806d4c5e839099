import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import { sbomOf } from "./sbom.ts";

const LOCKFILE = {
  name: "program",
  lockfileVersion: 3,
  packages: {
    "": { name: "program", version: "1.2.3", license: "Apache-2.0", dependencies: { a: "^1.0.0" } },
    "node_modules/a": {
      version: "1.0.0",
      license: "MIT",
      integrity: "sha512-AAEC",
      dependencies: { "@scope/b": "^2.0.0", unused: "^1.0.0" },
    },
    "node_modules/a/node_modules/@scope/b": { version: "2.0.0", peerDependencies: { c: "*" } },
    "node_modules/@scope/b": { version: "1.0.0" },
    "node_modules/c": { version: "3.0.0" },
    "node_modules/unused": { version: "1.0.0" },
  },
};
const MODULES = [
  "/home/me/program/cli/main.ts",
  "/home/me/program/node_modules/a/index.js",
  "/home/me/program/node_modules/a/lib/more.js",
  "/home/me/program/node_modules/a/node_modules/@scope/b/index.js?commonjs",
  "/home/me/program/node_modules/c/index.js",
];

const Sbom = z.looseObject({
  metadata: z.looseObject({ component: z.looseObject({ "bom-ref": z.string() }) }),
  components: z.array(z.looseObject({ "bom-ref": z.string(), name: z.string() })),
  dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()) })),
});

describe("the SBOM", () => {
  const sbom = Sbom.parse(
    sbomOf({ lockfile: LOCKFILE, modules: MODULES, files: { "irsa.mjs": "00ff" } }),
  );

  it("names each package of which code is in the bundle once, and no other", () => {
    assert.deepEqual(
      sbom.components.map((component) => component["bom-ref"]),
      ["pkg:npm/a@1.0.0", "pkg:npm/%40scope/b@2.0.0", "pkg:npm/c@3.0.0"],
    );
  });

  it("says of a package its name, version, licence and the hash of its archive", () => {
    assert.deepEqual(sbom.components[0], {
      type: "library",
      "bom-ref": "pkg:npm/a@1.0.0",
      name: "a",
      version: "1.0.0",
      licenses: [{ expression: "MIT" }],
      purl: "pkg:npm/a@1.0.0",
      hashes: [{ alg: "SHA-512", content: "000102" }],
    });
  });

  it("is about the program, by the hash of each of its files", () => {
    const { component } = sbom.metadata;
    const hashes = [{ alg: "SHA-256", content: "00ff" }];
    assert.deepEqual(component["components"], [{ type: "file", name: "irsa.mjs", hashes }]);
    assert.equal(component["version"], "1.2.3");
  });

  it("says what needs what, by the copy that Node finds", () => {
    assert.deepEqual(sbom.dependencies, [
      { ref: "pkg:npm/program@1.2.3", dependsOn: ["pkg:npm/a@1.0.0"] },
      { ref: "pkg:npm/a@1.0.0", dependsOn: ["pkg:npm/%40scope/b@2.0.0"] },
      { ref: "pkg:npm/%40scope/b@2.0.0", dependsOn: ["pkg:npm/c@3.0.0"] },
      { ref: "pkg:npm/c@3.0.0", dependsOn: [] },
    ]);
  });

  it("refuses a module of a package that the lockfile does not name", () => {
    const modules = ["/home/me/program/node_modules/foreign/index.js"];
    assert.throws(() => sbomOf({ lockfile: LOCKFILE, modules, files: {} }), {
      message: "Expected node_modules/foreign in the lockfile",
    });
  });
});
