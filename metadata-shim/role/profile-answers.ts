import type { Profile } from "./profile.ts";

/** Why a pod gets no role, or no credentials of one, that a profile has its own words for. */
export type RefusalReason =
  | "caller-unknown"
  | "caller-ambiguous"
  | "no-role"
  | "role-forbidden"
  | "other-role";

/** What the words are made of. */
export interface RefusalFacts {
  /** Whether the list of roles was asked for, or credentials of one. */
  readonly asked: "list" | "credentials";
  /** Of the caller. */
  readonly address: string;
  /** `namespace/name` of the pods at it. */
  readonly podNames?: readonly string[] | undefined;
  /** The role in the path. */
  readonly requestedName?: string | undefined;
  /** What the namespace says against it. */
  readonly denial?: string | undefined;
}

export interface ProfileAnswer {
  readonly status: 403 | 404 | 500 | 503;
  readonly body: string;
}

type Answers = Readonly<Record<RefusalReason, (facts: RefusalFacts) => ProfileAnswer>>;

/**
 * The refusals of each profile. Those of kube2iam and kiam have their words and their statuses, but
 * for what no client needs and some trip over: kiam's 500 for what a policy forbids, which SDKs ask
 * again and again, and kube2iam's 200 with an empty list.
 */
export const PROFILE_ANSWERS: Readonly<Record<Profile, Answers>> = {
  strict: {
    "caller-unknown": () => ({ status: 404, body: "No pod of this node has this address" }),
    "caller-ambiguous": () => ({ status: 503, body: "More than one pod has this address" }),
    "no-role": () => ({ status: 404, body: "This pod has no role" }),
    "role-forbidden": ({ denial = "" }) => ({ status: 403, body: denial }),
    // As EC2 answers for a name that is not there.
    "other-role": () => ({ status: 404, body: "This is not the role of this pod" }),
  },
  kube2iam: {
    "caller-unknown": ({ address }) => ({
      status: 404,
      body: `pod with specificed IP "${address}" not found\n`,
    }),
    "caller-ambiguous": ({ address, podNames = [] }) => ({
      status: 404,
      body: `${podNames.length} pods ([${podNames.join(" ")}]) with the ip ${address} indexed\n`,
    }),
    "no-role": ({ address }) => ({ status: 404, body: `unable to find role for IP ${address}\n` }),
    "role-forbidden": ({ denial = "" }) => ({ status: 404, body: `${denial}\n` }),
    "other-role": ({ requestedName = "" }) => ({
      status: 403,
      body: `Invalid role ${requestedName}\n`,
    }),
  },
  kiam: {
    "caller-unknown": ({ asked }) => kiam(asked, 500, "pod not found", "no pod found"),
    "caller-ambiguous": ({ asked }) => kiam(asked, 500, "multiple running pods found"),
    "no-role": () => ({ status: 404, body: "empty role\n" }),
    "role-forbidden": ({ denial = "" }) => ({
      status: 403,
      body: `error fetching credentials: forbidden by policy: ${denial}\n`,
    }),
    "other-role": () => ({
      status: 403,
      body: "error fetching credentials: forbidden by policy\n",
    }),
  },
};

function kiam(
  asked: RefusalFacts["asked"],
  status: 500,
  listText: string,
  credentialsText: string = listText,
): ProfileAnswer {
  const rpc = "rpc error: code = Unknown desc = ";
  const body =
    asked === "list"
      ? `${rpc}${listText}\n`
      : `error fetching credentials: ${listText === credentialsText ? rpc : ""}${credentialsText}\n`;
  return { status, body };
}
