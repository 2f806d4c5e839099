import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMetadataTree, METADATA_VERSIONS } from "./metadata-tree.ts";

const full = createMetadataTree({
  region: "eu-west-1",
  availabilityZone: "eu-west-1a",
  availabilityZoneId: "euw1-az1",
  instanceId: "node-1",
  instanceType: "m5.large",
  imageId: "ami-0",
  hostname: "node-1.example",
  localIpv4: "10.0.0.1",
});
const bare = createMetadataTree({});
const at = (tree: typeof full, path: string) => tree(path.split("/").filter(Boolean));
const bodyAt = (tree: typeof full, path: string) => {
  const resource = at(tree, path);
  return resource?.kind === "text" ? resource.body : resource?.kind;
};

describe("the tree of a configured machine", () => {
  const CASES: readonly (readonly [path: string, body: string | undefined])[] = [
    ["/", METADATA_VERSIONS.join("\n")],
    ["/latest", "dynamic\nmeta-data"],
    ["/1.0", "dynamic\nmeta-data"],
    [
      "/latest/meta-data",
      "ami-id\nhostname\niam/\ninstance-id\ninstance-type\nlocal-hostname\nlocal-ipv4\nplacement/\nservices/",
    ],
    ["/latest/meta-data/iam", "info\nsecurity-credentials/"],
    ["/2021-03-23/meta-data/iam", "info\nsecurity-credentials/"],
    ["/latest/meta-data/iam/info", "role-info"],
    ["/latest/meta-data/iam/security-credentials", "role-list"],
    ["/latest/meta-data/iam/security-credentials-extended", undefined],
    ["/latest/meta-data/iam/security-credentials;x", undefined],
    ["/latest/meta-data/iam/Security-Credentials", undefined],
    ["/latest/meta-data/placement", "availability-zone\navailability-zone-id\nregion"],
    ["/latest/meta-data/placement/availability-zone", "eu-west-1a"],
    ["/latest/meta-data/placement/availability-zone-id", "euw1-az1"],
    ["/latest/meta-data/placement/region", "eu-west-1"],
    ["/latest/meta-data/placement/region/x", undefined],
    ["/latest/meta-data/instance-id", "node-1"],
    ["/latest/meta-data/local-ipv4", "10.0.0.1"],
    ["/latest/meta-data/services/domain", "amazonaws.com"],
    ["/latest/meta-data/services/partition", "aws"],
    ["/latest/dynamic", "instance-identity/"],
    ["/latest/dynamic/instance-identity", "document"],
    ["/latest/dynamic/instance-identity/document", "identity-document"],
    ["/latest/dynamic/instance-identity/signature", undefined],
    ["/latest/dynamic/instance-identity/pkcs7", undefined],
    ["/latest/dynamic/instance-identity/rsa2048", undefined],
    ["/latest/user-data", undefined],
    ["/latest/meta-data/spot/instance-action", undefined],
    ["/latest/meta-data/constructor", undefined],
    ["/latest/meta-data/__proto__", undefined],
    ["/latest/api", undefined],
    ["/latest/api/token", "session-token"],
    ["/2021-03-23/api/token", "dated-session-token"],
    ["/womp", undefined],
    ["/1999-01-01/meta-data", undefined],
  ];
  for (const [path, body] of CASES) it(path, () => assert.equal(bodyAt(full, path), body));

  it("takes the rest of a path for a role's name", () => {
    const roles = "/latest/meta-data/iam/security-credentials";
    assert.deepEqual(at(full, `${roles}/app`), { kind: "role", name: "app" });
    const arn = "arn:aws:iam::111122223333:role/team/app";
    assert.deepEqual(at(full, `${roles}/${arn}`), { kind: "role", name: arn });
  });
});

describe("the tree of a machine of which nothing is configured", () => {
  it("invents nothing", () => {
    assert.equal(bodyAt(bare, "/latest"), "meta-data");
    assert.equal(bodyAt(bare, "/latest/meta-data"), "iam/");
    assert.equal(bodyAt(bare, "/latest/meta-data/placement"), undefined);
    assert.equal(bodyAt(bare, "/latest/dynamic/instance-identity/document"), undefined);
  });

  it("knows the domain of each partition", () => {
    const regions = ["cn-north-1", "us-gov-west-1", "us-iso-east-1"];
    assert.deepEqual(
      regions.map((region) =>
        bodyAt(createMetadataTree({ region }), "/latest/meta-data/services/domain"),
      ),
      ["amazonaws.com.cn", "amazonaws.com", "c2s.ic.gov"],
    );
  });
});
