import { z } from "zod";
import { goFieldsOf } from "../../lib/go-json.ts";
import { invalid, parseObjectText } from "./associations-text.ts";

/** ServiceAccounts whose pods get container credentials, each as `namespace/name`. */
export type ContainerCredentialsSet = ReadonlySet<string>;

const SUBJECT = "the container-credentials file";

const Identities = z.array(z.unknown()).nullish();
const Name = z.string().min(1);

/**
 * Reads `{"identities": [{"namespace", "serviceAccount"}]}`, the file that EKS Pod Identity writes.
 * Names match as they are: there are no globs. An empty text is an empty set.
 *
 * @throws AppError ASSOCIATION_INVALID naming every bad identity; a part of them is never used.
 */
export function parseContainerCredentials(text: string): ContainerCredentialsSet {
  const identities = Identities.safeParse(
    goFieldsOf(parseObjectText(text, SUBJECT))?.get("identities"),
  );
  if (!identities.success) throw invalid(SUBJECT, ["identities: expected a list"]);
  const problems: string[] = [];
  const names = new Set<string>();
  for (const [i, identity] of (identities.data ?? []).entries()) {
    const fields = goFieldsOf(identity);
    const [namespace, serviceAccount] = ["namespace", "serviceaccount"].map(
      (field) => Name.safeParse(fields?.get(field)).data,
    );
    if (namespace === undefined || serviceAccount === undefined) {
      problems.push(`identities[${i}]: expected namespace and serviceAccount, both texts`);
    } else names.add(`${namespace}/${serviceAccount}`);
  }
  if (problems.length > 0) throw invalid(SUBJECT, problems);
  return names;
}
