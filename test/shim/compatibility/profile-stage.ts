import { PROFILE_TRAITS, type Profile } from "../../../metadata-shim/role/profile.ts";
import type { Reply } from "../../fakes/ask.ts";
import type { PodOfNode } from "../../fakes/node-api-server.ts";
import { untilWithin } from "../../fakes/until.ts";
import { credentialsIn, identityOf, TOKEN, TOKEN_PATH, TTL } from "../replies.ts";
import { movedWorld, type Moved } from "../moved-world.ts";
import { METADATA_IPV4, ROLE_LIST, startShimWorld, type ShimWorld } from "../shim-world.ts";

export const BASE = "arn:aws:iam::111122223333:role/";
export const OTHER_BASE = "arn:aws:iam::444455556666:role/";
export const ROLE_KEY = "iam.amazonaws.com/role";
export const ALLOWED_ROLES = "iam.amazonaws.com/allowed-roles";
export const PERMITTED = "iam.amazonaws.com/permitted";
export const OWN_ALLOWED_ROLES = "irsa-anywhere.io/allowed-roles";

/** What a namespace must say in a profile for its pods to have any role. */
export const OPEN: Readonly<Record<Profile, Readonly<Record<string, string>>>> = {
  strict: {},
  kube2iam: {},
  kiam: { [PERMITTED]: ".*" },
};

/** A pod as a row wants it. */
export interface WantedPod extends Partial<PodOfNode> {
  /** On the pod where its profile reads that, else on its ServiceAccount, there as an ARN. */
  readonly role?: string;
  /** Annotations of a namespace of its own; `ns`, which is open, without them. */
  readonly namespaceAnnotations?: Readonly<Record<string, string>>;
}

export interface StagePod {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
}

interface Place {
  /** Of the shim that is asked; that of the metadata service unless told. */
  readonly port?: number | undefined;
  /** The address that is asked; the metadata service's IPv4 one unless told. */
  readonly host?: string | undefined;
}

/** A shim in a profile with what it needs, for rows that are the same in every profile. */
export interface ProfileStage extends AsyncDisposable {
  readonly profile: Profile;
  readonly world: ShimWorld;
  /** Puts a pod with a ServiceAccount of its own, at an address of its own. */
  pod(wanted?: WantedPod): StagePod;
  /** An address that no pod has. */
  newAddress(): string;
  /** Starts another shim of the profile beside it. @returns its port. */
  shim(flags: readonly string[]): Promise<number>;
  read(pod: Pick<StagePod, "address">, path: string, place?: Place): Promise<Reply>;
  /** Status and body of the list of roles, see {@link said}. */
  list(pod: Pick<StagePod, "address">, place?: Place): Promise<string>;
  /** Whose credentials come for a name, as `200 ACCOUNT/ROLE`, or what is said instead. */
  get(pod: Pick<StagePod, "address">, name: string, place?: Place): Promise<string>;
  /** A world in the same profile of which a row moves the clock; the same for all rows. */
  moved(): Promise<Moved>;
  /** Reasons of the Events on a pod, in their order; waits for as many as are wanted. */
  events(pod: Pick<StagePod, "name">, count: number): Promise<string>;
}

const soon = untilWithin({ limitMs: 5000, pauseMs: 20 });

export async function startProfileStage(profile: Profile): Promise<ProfileStage> {
  await using resources = new AsyncDisposableStack();
  const flags = [`--profile=${profile}`, `--base-role-arn=${BASE}`];
  const world = resources.use(await startShimWorld({ flags }));
  world.api.putNamespace(OPEN[profile]);
  let addresses = 0;
  let pods = 0;
  let ports = 8000;
  const newAddress = (): string => {
    addresses += 1;
    return `10.1.${1 + Math.floor(addresses / 200)}.${(addresses % 200) + 1}`;
  };

  const read: ProfileStage["read"] = async ({ address: from }, path, place = {}) => {
    const { host = METADATA_IPV4 } = place;
    const named = { host: host.includes(":") ? `[${host}]` : host };
    const asking = { ...place, from, method: "PUT", path: TOKEN_PATH };
    const token = await world.ask({ ...asking, headers: { ...named, [TTL]: "60" } });
    return world.ask({ ...place, from, path, headers: { ...named, [TOKEN]: token.body } });
  };
  const running = resources.move();
  let moved: Promise<Moved> | undefined;
  const startMoved = async (): Promise<Moved> => {
    const started = running.use(await movedWorld(flags));
    started.world.api.putNamespace(OPEN[profile]);
    return started;
  };
  return {
    profile,
    world,
    newAddress,
    pod({ role, annotations = {}, namespaceAnnotations, ...changes } = {}) {
      const address = changes.addresses?.[0] ?? newAddress();
      pods += 1;
      const name = changes.name ?? `pod-${pods}`;
      const namespace = namespaceAnnotations === undefined ? "ns" : `of-${name}`;
      if (namespaceAnnotations !== undefined) {
        world.api.putNamespace(namespaceAnnotations, namespace);
      }
      const isOnPod = PROFILE_TRAITS[profile].readsPodAnnotations && role !== undefined;
      world.serviceAccount(name, isOnPod ? undefined : arnOf(role), namespace);
      world.pod(name, address, {
        namespace,
        annotations: { ...annotations, ...(isOnPod ? { [ROLE_KEY]: role } : {}) },
        ...changes,
      });
      return { name, namespace, address };
    },
    async shim(more) {
      ports += 1;
      const started = await world.another([`--app-port=${ports}`, ...more]);
      running.use(started);
      await started.whenReady;
      return ports;
    },
    read,
    async list(pod, place) {
      return said(await read(pod, `${ROLE_LIST}/`, place), pod);
    },
    async get(pod, name, place) {
      const reply = await read(pod, `${ROLE_LIST}/${name}`, place);
      if (reply.status !== 200) return said(reply, pod);
      const arn = await identityOf(world, credentialsIn(reply));
      const [, , , , account = "", resource = ""] = arn.split(":");
      return `200 ${account}/${resource.split("/")[1] ?? ""}`;
    },
    moved: () => (moved ??= startMoved()),
    async events({ name }, count) {
      const of = (): readonly string[] =>
        world.api.events.filter(({ about }) => about === name).map(({ reason }) => reason);
      await soon(`${name} has its Events`, () => of().length >= count);
      return of().join(" ");
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function arnOf(role: string | undefined): string | undefined {
  return role === undefined || role.startsWith("arn:") ? role : BASE + role;
}

/** Status and body in one line: the caller's address as `ADDRESS`, the end of a line as `⏎`. */
export function said({ status, body }: Reply, { address }: Pick<StagePod, "address">): string {
  return `${status} ${body.replaceAll(address, "ADDRESS").replaceAll("\n", "⏎")}`;
}

/** Makes the roles that the rows are about. */
export async function prepareRoles(world: ShimWorld): Promise<void> {
  for (const name of ["app-role", "default-role", "one-role", "two-role"]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- a few, at the start
    await world.role(name);
  }
  await world.role("path-role", { path: "/team/" });
  await world.role("other-role", { isOfOtherAccount: true });
  await world.cluster.createRoleWith("id-role", [
    {
      Effect: "Allow",
      Principal: { AWS: "arn:aws:iam::111122223333:root" },
      Action: "sts:AssumeRole",
      Condition: { StringEquals: { "sts:ExternalId": "good" } },
    },
  ]);
  await world.role("denied-role", { subject: "somebody-else" });
}
