import { NODE_ADDRESS, type ShimWorld } from "../shim-world.ts";

// The pods of the hundred rows, by their addresses.

export const A = "10.1.0.2";
export const A_IPV6 = "fd01::2";
/** Of another ServiceAccount with the same role. */
export const B = "10.1.0.3";
/** Says that it needs no session tokens. */
export const V1 = "10.1.0.4";
/** Without a role. */
export const PLAIN = "10.1.0.5";
export const TWINS = "10.1.0.6";
/** Of a finished pod and of one that runs. */
export const REUSED = "10.1.0.7";
export const LATE = "10.1.0.8";
export const MOVED = "10.1.0.9";
export const CHINA = "10.1.0.10";
export const LONG_ROLE = "10.1.0.11";
export const LONG_POD = "10.1.0.12";
export const REFUSED = "10.1.0.13";
export const CROWD = "10.1.0.14";
export const SLOW = "10.1.0.15";
export const CHANGING = "10.1.0.16";
export const LONG_TWIN = "10.1.0.17";
/** Asks while nobody answers the shim. */
export const HUNG = "10.1.0.18";
/** Nobody's. */
export const UNKNOWN = "10.1.0.60";
export const LONG_NAME = `a+=,.@-_${"x".repeat(56)}`;
const LONG_POD_NAME = "p".repeat(253);
const LONG_TWIN_NAME = `${"p".repeat(252)}q`;

/** Puts them on the node of a world. */
export async function preparePods(world: ShimWorld): Promise<void> {
  const role = await world.role("app-role", { path: "/team/" });
  for (const name of ["app", "other", "late", "moved-1", "moved-2", "crowd", "slow", "hung"]) {
    world.serviceAccount(name, role);
  }
  world.serviceAccount("plain");
  world.serviceAccount("china", "arn:aws-cn:iam::111122223333:role/app-role");
  world.serviceAccount("long", await world.role(LONG_NAME));
  world.serviceAccount("refused", await world.role("not-yours", { subject: "somebody-else" }));
  world.serviceAccount("changing", role);
  await world.role("changed-role");

  world.pod("app", A, { addresses: [A, A_IPV6] });
  world.pod("other", B);
  const annotations = { "irsa-anywhere.io/http-tokens": "optional" };
  world.pod("legacy", V1, { serviceAccount: "app", annotations });
  world.pod("plain", PLAIN);
  world.pod("twin-1", TWINS, { serviceAccount: "app" });
  world.pod("twin-2", TWINS, { serviceAccount: "other" });
  world.pod("job", REUSED, { serviceAccount: "other", phase: "Succeeded" });
  world.pod("after-job", REUSED, { serviceAccount: "app" });
  world.pod("china", CHINA);
  world.pod("long", LONG_ROLE);
  world.pod(LONG_POD_NAME, LONG_POD, { serviceAccount: "app" });
  world.pod(LONG_TWIN_NAME, LONG_TWIN, { serviceAccount: "app" });
  world.pod("refused", REFUSED);
  world.pod("crowd", CROWD);
  world.pod("slow", SLOW);
  world.pod("hung", HUNG);
  world.pod("changing", CHANGING);
  world.pod("host", NODE_ADDRESS, { serviceAccount: "app", hostNetwork: true });
}
