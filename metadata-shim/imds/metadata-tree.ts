import { partitionOfRegion } from "../../lib/arn.ts";

/** What is known of the machine, by configuration only: a leaf that is not given is not there. */
export interface InstanceFacts {
  readonly region?: string | undefined;
  readonly availabilityZone?: string | undefined;
  /** Such as `euw1-az1`. */
  readonly availabilityZoneId?: string | undefined;
  readonly instanceId?: string | undefined;
  readonly instanceType?: string | undefined;
  readonly imageId?: string | undefined;
  readonly hostname?: string | undefined;
  readonly localIpv4?: string | undefined;
}

/** What a path stands for. */
export type Resource =
  /** The same text for every pod: a listing, or a leaf of the configuration. */
  | { readonly kind: "text"; readonly body: string }
  | { readonly kind: "role-list" }
  /** Credentials of a role, by the name that was asked for. */
  | { readonly kind: "role"; readonly name: string }
  | { readonly kind: "role-info" }
  | { readonly kind: "identity-document" }
  /** Where session tokens are made, `/latest/api/token`. */
  | { readonly kind: "session-token" }
  /** The same path under a version's date, where EC2 makes none. */
  | { readonly kind: "dated-session-token" };

/** Finds what a path stands for, given as {@link parseRequestPath} reads it; undefined for nothing. */
export type MetadataTree = (path: readonly string[]) => Resource | undefined;

/**
 * Versions of the metadata service (EC2 User Guide, "Available versions of instance metadata"). All
 * show the same here: what is served has not changed since the first.
 */
export const METADATA_VERSIONS = [
  ..."1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01".split(" "),
  ..."2009-04-04 2011-01-01 2011-05-01 2012-01-12 2014-02-25 2014-11-05 2015-10-20".split(" "),
  ..."2016-04-19 2016-06-30 2016-09-02 2018-03-28 2018-08-17 2018-09-24 2019-10-01".split(" "),
  ..."2020-10-27 2021-01-03 2021-03-23 2021-07-15 2022-07-09 2022-09-24 2024-04-11".split(" "),
  "latest",
] as const;

type Node = Resource | Category;
type Category = ReadonlyMap<string, Node>;

const ROLES = "security-credentials";

/**
 * Makes the tree of what is served. A category is the list of what is in it, sorted, a category in it
 * with a slash, and no newline at the end. There are no user data, no signatures and nothing of the
 * real service of the node.
 */
export function createMetadataTree(facts: InstanceFacts): MetadataTree {
  const versioned = versionedTree(facts);
  const versions = new Set<string>(METADATA_VERSIONS);
  const root = text(METADATA_VERSIONS.join("\n"));
  return (path) => {
    const [version, ...rest] = path;
    if (version === undefined) return root;
    if (!versions.has(version)) return undefined;
    if (rest.length === 2 && rest[0] === "api" && rest[1] === "token") {
      return { kind: version === "latest" ? "session-token" : "dated-session-token" };
    }
    return find(versioned, rest);
  };
}

function find(tree: Category, path: readonly string[]): Resource | undefined {
  let node: Node = tree;
  for (const [i, segment] of path.entries()) {
    if (!isCategory(node)) {
      // A role's name may have a path, or be an ARN, which has one.
      return node.kind === "role-list"
        ? { kind: "role", name: path.slice(i).join("/") }
        : undefined;
    }
    const next = node.get(segment);
    if (next === undefined) return undefined;
    node = next;
  }
  if (!isCategory(node)) return node;
  return text(node === tree ? namesOf(node).join("\n") : listingOf(node));
}

function versionedTree(facts: InstanceFacts): Category {
  const { region } = facts;
  const metaData = category({
    "ami-id": leaf(facts.imageId),
    hostname: leaf(facts.hostname),
    iam: category({ info: { kind: "role-info" }, [ROLES]: { kind: "role-list" } }),
    "instance-id": leaf(facts.instanceId),
    "instance-type": leaf(facts.instanceType),
    "local-hostname": leaf(facts.hostname),
    "local-ipv4": leaf(facts.localIpv4),
    placement: category({
      "availability-zone": leaf(facts.availabilityZone),
      "availability-zone-id": leaf(facts.availabilityZoneId),
      region: leaf(region),
    }),
    services: category(
      region === undefined
        ? {}
        : {
            domain: leaf(DOMAINS[partitionOfRegion(region)] ?? "amazonaws.com"),
            partition: leaf(partitionOfRegion(region)),
          },
    ),
  });
  // Without a region it would tell nothing that anybody asks it for.
  const identity = category(
    region === undefined ? {} : { document: { kind: "identity-document" } },
  );
  return category({ dynamic: category({ "instance-identity": identity }), "meta-data": metaData });
}

/** Domains of the services that are not under `amazonaws.com`, by partition. */
const DOMAINS: Readonly<Record<string, string>> = {
  "aws-cn": "amazonaws.com.cn",
  "aws-eusc": "amazonaws.eu",
  "aws-iso": "c2s.ic.gov",
  "aws-iso-b": "sc2s.sgov.gov",
  "aws-iso-e": "cloud.adc-e.uk",
  "aws-iso-f": "csp.hci.ic.gov",
};

function category(content: Readonly<Record<string, Node | undefined>>): Category {
  return new Map(
    Object.entries(content).flatMap(([name, node]) => {
      const isEmpty = node === undefined || (isCategory(node) && node.size === 0);
      return isEmpty ? [] : [[name, node] as const];
    }),
  );
}

function leaf(value: string | undefined): Resource | undefined {
  return value === undefined ? undefined : text(value);
}

function text(body: string): Resource {
  return { kind: "text", body };
}

function isCategory(node: Node): node is Category {
  return node instanceof Map;
}

function namesOf(node: Category): readonly string[] {
  return [...node.keys()].toSorted();
}

function listingOf(node: Category): string {
  return namesOf(node)
    .map((name) => {
      const child = node.get(name);
      const hasMore = child !== undefined && (isCategory(child) || child.kind === "role-list");
      return hasMore ? `${name}/` : name;
    })
    .join("\n");
}
