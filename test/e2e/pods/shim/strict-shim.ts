import { CreateRoleCommand } from "@aws-sdk/client-iam";
import { iamClient } from "../../../aws/fixtures/sdk-clients.ts";
import { CHURN_NAMESPACE } from "../../../shim/churn.ts";
import { createObjects } from "../create-objects.ts";
import * as installation from "../installation.ts";
import { ISSUER_HOST, ISSUER, type ProductCluster } from "../product-cluster.ts";
import { SHIM_NAMESPACE, untilShimRolledOut } from "../shim-agent.ts";
import { timed } from "../timed.ts";

/** Of the pods that follow each other; any ServiceAccount of their namespace may take it. */
export const CHURN_ROLE = "churn";

/** The shim in its default profile. */
export interface StrictShim {
  readonly product: ProductCluster;
  /** Of the workloads of the team. */
  readonly roleArn: string;
  readonly churnRoleArn: string;
}

/** Installs it, with as few other pods as can be, since each has an address. */
export async function installStrictShim(product: ProductCluster): Promise<StrictShim> {
  const { cluster, awsPlace } = product;
  const authorities = { metadata: { name: "aws" }, data: { "ca.crt": awsPlace.caPem } };
  await createObjects(cluster, SHIM_NAMESPACE, [
    { apiVersion: "v1", kind: "ConfigMap", ...authorities },
  ]);
  await installation.prepareNamespace(product);
  await timed("helm install until all of it runs", async () => {
    await installation.runHelm(product, "install", {
      webhook: { replicas: 1 },
      issuer: { replicas: 1 },
      shim: {
        enabled: true,
        tokenRequests: true,
        caConfigMap: "aws",
        env: [{ name: "AWS_ENDPOINT_URL_STS", value: awsPlace.stsUrl }],
        dnsPolicy: "ClusterFirstWithHostNet",
        settings: { region: installation.REGION, "sts-calls-per-minute": 60_000 },
      },
    });
    await untilShimRolledOut(cluster);
    await installation.untilRolledOut(cluster, "irsa-webhook", "irsa-issuer");
  });
  await installation.publishService(product);
  const roleArn = await installation.createRole(product);
  await installation.createNamespace(cluster, installation.TEAM, roleArn);
  return { product, roleArn, churnRoleArn: await createChurnRole(product) };
}

/** Trusts the provider that is there already. */
async function createChurnRole({ aws, awsAccess }: ProductCluster): Promise<string> {
  const { host, pathname } = new URL(ISSUER);
  const subjects = `system:serviceaccount:${CHURN_NAMESPACE}:*`;
  const statement = {
    Effect: "Allow",
    Principal: { Federated: `arn:aws:iam::111122223333:oidc-provider/${host}${pathname}` },
    Action: "sts:AssumeRoleWithWebIdentity",
    Condition: { StringLike: { [`${ISSUER_HOST}${pathname}:sub`]: subjects } },
  };
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  const iam = iamClient(aws, awsAccess.administrator);
  const { Role } = await iam.send(
    new CreateRoleCommand({ RoleName: CHURN_ROLE, AssumeRolePolicyDocument: policy }),
  );
  return Role?.Arn ?? "";
}
