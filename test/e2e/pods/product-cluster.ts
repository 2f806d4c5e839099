import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { AwsAccess } from "../../../cli/demo/aws-account.ts";
import { createAuthority, issueServingCertificate } from "../../../lib/certificates.ts";
import type { KeyPair } from "../../../lib/server-certificate.ts";
import { buildahProblem, createBuildah, type Buildah } from "../../../scripts/image/buildah.ts";
import { buildImage } from "../../../scripts/image/build-image.ts";
import { validityAroundNow } from "../../aws/fixtures/issuer-server.ts";
import { startAws, type Aws } from "../../aws/start-aws.ts";
import { missingHelm } from "../../helm/helm-program.ts";
import { startCluster, type Cluster, type ClusterOptions } from "../../kubernetes/cluster.ts";
import { missingNodeParts } from "../../kubernetes/nodes/missing-node-parts.ts";
import { createWorkspace } from "../../kubernetes/workspace.ts";
import { buildClientImage, type AwsPlace } from "./client-image.ts";
import { timed } from "./timed.ts";

export const ISSUER_HOST = "oidc.example.test";
export const ISSUER = `https://${ISSUER_HOST}/prod`;
export const STS_HOST = "sts.example.test";

/** A cluster whose nodes have the image that ships and that of a client, with AWS outside of it. */
export interface ProductCluster extends AsyncDisposable {
  readonly cluster: Cluster;
  /** It trusts what the authority below has signed, and knows no issuer yet. */
  readonly aws: Aws;
  /** The same for pods. */
  readonly awsPlace: AwsPlace;
  readonly awsAccess: AwsAccess;
  /** For the issuer's host, signed by the authority that stands for the public ones. */
  readonly issuerPair: KeyPair;
  /** With the product's image and its base in its store. */
  readonly buildah: Buildah;
  /** The product's image, as the manifests name it. */
  readonly image: string;
  /** A folder for the test, which goes with the cluster. */
  readonly folder: string;
}

/** Why no such cluster can run here, in one line; undefined when it can. */
export async function missingProductParts(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return (await missingNodeParts(env)) ?? (await missingHelm(env)) ?? (await buildahProblem());
}

/** What the nodes of the cluster have. */
export interface ProductOptions extends ClusterOptions {
  /** Whether they have the image with iptables too. */
  readonly iptables?: boolean | undefined;
}

/** Starts a cluster with nothing installed yet, and tells how long each step takes. */
export async function startProductCluster(options: ProductOptions): Promise<ProductCluster> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await createWorkspace());
  const authority = await createAuthority("public authority", validityAroundNow());
  const issuerPair = await issueServingCertificate(authority, [ISSUER_HOST], validityAroundNow());
  const aws = stack.use(await startAws({ hostNames: [STS_HOST], trustCaPems: [authority.cert] }));
  const awsPlace = { stsUrl: `https://${STS_HOST}`, caPem: aws.caPem };
  const building = timed("images built", () =>
    buildImages(folder, { aws: awsPlace, iptables: options.iptables ?? false }),
  );
  // Nobody may remove the folder before.
  stack.defer(async () => {
    await Promise.allSettled([building]);
  });
  const start = (): Promise<Cluster> => startCluster({ ...options, issuers: [ISSUER] });
  const cluster = stack.use(await timed("cluster started", start));
  const { buildah, image, files } = await building;
  const loading = async (): Promise<void> => {
    for (const file of files) await cluster.loadImage(file);
  };
  await timed("images loaded", loading);
  await cluster.publish(STS_HOST, 443, Number(new URL(aws.sts).port));

  const [administrator] = aws.accounts;
  if (administrator === undefined) throw new Error("Expected an AWS account");
  const running = stack.move();
  return {
    cluster,
    aws,
    awsPlace,
    awsAccess: { sts: aws.sts, iam: aws.iam, caPem: aws.caPem, administrator },
    issuerPair,
    buildah,
    image,
    folder,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function buildImages(
  parent: string,
  { aws, iptables }: { readonly aws: AwsPlace; readonly iptables: boolean },
): Promise<{
  readonly buildah: Buildah;
  readonly image: string;
  readonly files: readonly string[];
}> {
  const folder = join(parent, "images");
  await mkdir(folder);
  const [product, client] = [join(folder, "product.tar"), join(folder, "client.tar")];
  const iptablesFile = iptables ? join(folder, "iptables.tar") : undefined;
  const image = await buildImage({ folder, file: product, base: "local", iptablesFile });
  const buildah = createBuildah(folder);
  await buildClientImage(buildah, { folder, file: client, aws });
  const more = iptablesFile === undefined ? [] : [iptablesFile];
  return { buildah, image, files: [product, client, ...more] };
}
