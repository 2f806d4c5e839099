import { UpdateAssumeRolePolicyCommand } from "@aws-sdk/client-iam";
import { iamClient } from "../../aws/fixtures/sdk-clients.ts";
import { ROLE_LIST, type ShimWorld } from "../../shim/shim-world.ts";

/** Of all pods. */
export const ROLE = "app-role";
export const CREDENTIALS = `${ROLE_LIST}/${ROLE}`;
const ALWAYS = 1_000_000;

/** How a fault begins; what it gives back ends it. */
export type Fault = (world: ShimWorld) => (() => void) | Promise<() => Promise<unknown>>;

const sts =
  (faults: object): Fault =>
  ({ aws }) => {
    aws.set({ faults: { actions: ["AssumeRoleWithWebIdentity"], ...faults } });
    return () => aws.set({ faults: {} });
  };

/** Connections to STS end without an answer. */
export const STS_AWAY: Fault = sts({ droppedConnections: ALWAYS });

export const FAULTS: Readonly<Record<string, Fault>> = {
  "STS cuts connections": STS_AWAY,
  "STS throttles": sts({ throttles: ALWAYS }),
  "STS takes 3 s": sts({ latencyMs: 3000 }),
  "STS refuses": async ({ aws, cluster: { providerArn } }) => {
    const setTrust = (Condition: object): Promise<unknown> => {
      const Principal = { Federated: providerArn };
      const Action = "sts:AssumeRoleWithWebIdentity";
      const Statement = [{ Effect: "Allow", Principal, Action, Condition }];
      const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement });
      const change = { RoleName: ROLE, PolicyDocument };
      return iamClient(aws).send(new UpdateAssumeRolePolicyCommand(change));
    };
    await setTrust({ StringEquals: { "aws:RequestedRegion": "nowhere" } });
    return () => setTrust({});
  },
};

export const API_FAULTS: Readonly<Record<string, Fault>> = {
  "the API server hangs": ({ api }) => {
    api.hang(true);
    return () => api.hang(false);
  },
  "the API server refuses connections": async ({ api }) => {
    await api.refuse(true);
    return () => api.refuse(false);
  },
};
