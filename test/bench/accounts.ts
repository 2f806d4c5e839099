import type { KubeConnection } from "../../lib/kube/connection.ts";
import { forEachBounded } from "../fakes/for-each-bounded.ts";
import { createObject } from "../shim/create-object.ts";
import type { Subject } from "./review.ts";

export const ROLE = "arn:aws:iam::111122223333:role/checkout";

const NAMESPACES = 50;
const ANNOTATED_EACH = 10;
const CONCURRENCY = 48;

/** The ServiceAccount of a number from 0 on; every tenth has a role. */
export function accountOf(number: number): Subject {
  return { namespace: `bench-${number % NAMESPACES}`, serviceAccount: `account-${number}` };
}

/** The number of the last ServiceAccount below `count` that has a role, or has none. */
export function lastAccount(count: number, annotated: boolean): number {
  const last = Math.floor((count - 1) / ANNOTATED_EACH) * ANNOTATED_EACH;
  if (annotated) return last;
  return last === count - 1 ? last - 1 : count - 1;
}

/** How many ServiceAccounts below `count` have a role. */
export function annotatedAmong(count: number): number {
  return Math.ceil(count / ANNOTATED_EACH);
}

/** The number of the `index`th ServiceAccount with a role, again from the first after the last. */
export function annotatedAccount(count: number, index: number): number {
  return (index % annotatedAmong(count)) * ANNOTATED_EACH;
}

/** Creates the ServiceAccounts 0 to `count` - 1 and their namespaces. */
export async function createAccounts(kube: KubeConnection, count: number): Promise<void> {
  await forEachBounded(NAMESPACES, CONCURRENCY, (number) =>
    createObject(kube, "/api/v1/namespaces", { metadata: { name: accountOf(number).namespace } }),
  );
  await forEachBounded(count, CONCURRENCY, (number) => {
    const { namespace, serviceAccount: name } = accountOf(number);
    const annotations =
      number % ANNOTATED_EACH === 0 ? { "eks.amazonaws.com/role-arn": ROLE } : undefined;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    return createObject(kube, path, { metadata: { name, annotations } });
  });
}
