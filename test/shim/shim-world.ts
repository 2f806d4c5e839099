import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../lib/clock.ts";
import { shimConfig } from "../../metadata-shim/config.ts";
import { startShim, type RunningShim } from "../../metadata-shim/main.ts";
import { registerCluster, type Cluster } from "../aws/fixtures/cluster.ts";
import { startIssuer } from "../aws/fixtures/issuer-server.ts";
import { newSigningKey } from "../aws/fixtures/signing-keys.ts";
import { startAws, type Aws, type AwsOptions } from "../aws/start-aws.ts";
import { ask, type Question, type Reply } from "../fakes/ask.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import {
  startNodeApiServer,
  type NodeApiServer,
  type PodOfNode,
} from "../fakes/node-api-server.ts";

import { showProcess } from "./shown-process.ts";

export const NODE_NAME = "node-1";
export const NODE_ADDRESS = "10.0.0.1";
export const METADATA_IPV4 = "169.254.169.254";
export const METADATA_IPV6 = "fd00:ec2::254";
export const REGION = "eu-west-1";
export const ROLE_LIST = "/latest/meta-data/iam/security-credentials";

const IRSA = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** Addresses that a network namespace for a world needs on its loopback interface, with pods' ones. */
export const WORLD_ADDRESSES: readonly string[] = [
  `${NODE_ADDRESS}/32`,
  `${METADATA_IPV4}/32`,
  `${METADATA_IPV6}/128`,
  // Loopback answers for the whole net of an address.
  "10.1.0.1/16",
  "fd01::2/128",
];

/** What a pod asks, at the address of the metadata service. */
export interface PodQuestion extends Omit<Question, "host" | "port" | "path"> {
  readonly path: string;
  /** The address of the pod. */
  readonly from: string;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/**
 * A whole shim with what it needs: an API server's part, an issuer, and the stand-in of AWS, all in
 * this process. The shim listens where pods expect the metadata service, so this is for a network
 * namespace that has {@link WORLD_ADDRESSES} and no way out.
 */
export interface ShimWorld extends AsyncDisposable {
  /** Whether the kernel is asked whose a connection is. */
  readonly isAttested: boolean;
  readonly api: NodeApiServer;
  readonly aws: Aws;
  readonly cluster: Cluster;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** The shim that runs now. */
  readonly shim: RunningShim;
  /** Stops the shim and starts it again with the same state, and other flags when given. */
  restart(flags?: readonly string[]): Promise<void>;
  /** Starts another one beside it, with other flags. */
  another(flags: readonly string[]): Promise<RunningShim>;
  /** The same as a process of its own. It ends with the world. */
  spawn(flags: readonly string[]): ChildProcess;
  /** Makes a role that the cluster may assume, in the first account unless told. */
  role(
    name: string,
    options?: {
      readonly path?: string;
      readonly subject?: string;
      readonly isOfOtherAccount?: boolean;
    },
  ): Promise<string>;
  /** Puts a pod of this node, with a ServiceAccount of its name, and a process unless it has ended. */
  pod(name: string, address: string, changes?: Partial<PodOfNode>): PodOfNode;
  removePod(name: string): void;
  serviceAccount(name: string, roleArn?: string, namespace?: string): void;
  ask(question: PodQuestion): Promise<Reply>;
  /** A session token, as a header. */
  token(from: string, ttlSeconds?: number): Promise<Readonly<Record<string, string>>>;
  /** Asks with a session token. */
  read(from: string, path: string): Promise<Reply>;
  /** Calls of AssumeRoleWithWebIdentity for a ServiceAccount, of the namespace `ns` unless told. */
  exchangesOf(serviceAccount: string, namespace?: string): number;
}

export interface ShimWorldOptions {
  readonly clock?: Clock | undefined;
  readonly monotonicNow?: (() => number) | undefined;
  readonly aws?: AwsOptions | undefined;
  readonly flags?: readonly string[] | undefined;
  /** Whether the kernel is asked, of processes in this process's namespace. Default false. */
  readonly isAttested?: boolean | undefined;
}

export async function startShimWorld(options: ShimWorldOptions = {}): Promise<ShimWorld> {
  await using resources = new AsyncDisposableStack();
  const { clock, isAttested = false } = options;
  const nowMs = clock === undefined ? Date.now() : clock.now();
  const folder = await mkdtemp(join(tmpdir(), "irsa-shim-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const procFolder = join(folder, "proc");
  await mkdir(procFolder);
  /** Processes of pods by their names; nobody asks before they are shown. */
  const shown = new Map<string, string>();
  let shows = 0;
  let showing: Promise<unknown> = Promise.resolve();
  const show = ({ name, uid: podUid }: PodOfNode): void => {
    shows += 1;
    const number = shows;
    shown.set(name, join(procFolder, String(number)));
    showing = showing.then(() =>
      showProcess(procFolder, number, { podUid, net: "/proc/self/net" }),
    );
  };
  const hide = (name: string): void => {
    const process = shown.get(name);
    shown.delete(name);
    if (process !== undefined) showing = showing.then(() => rm(process, { recursive: true }));
  };
  const podAsk = async ({
    host = METADATA_IPV4,
    port = 80,
    ...rest
  }: PodQuestion): Promise<Reply> => {
    await showing;
    return ask({ host, port, ...rest });
  };
  const issuer = resources.use(await startIssuer());
  const key = newSigningKey("RS256");
  issuer.publish([key.jwk]);
  const aws = resources.use(
    await startAws({ trustCaPems: [issuer.authority.cert], clock, ...options.aws }),
  );
  const nowSeconds = Math.floor(nowMs / 1000);
  const facts = { issuer: issuer.url, key, nowSeconds };
  const cluster = await registerCluster(aws, facts);
  const elsewhere = await registerCluster(aws, { ...facts, credentials: aws.accounts[1] });
  const now = (): number => (clock === undefined ? Date.now() : clock.now());
  const api = resources.use(await startNodeApiServer({ issuer: issuer.url, key, now }));
  const { log, lines } = createCollectedLog();
  const [node] = aws.accounts;
  const env = {
    AWS_ENDPOINT_URL_STS: aws.sts,
    AWS_CA_BUNDLE: aws.ca,
    AWS_REGION: REGION,
    // Of the node, which nothing uses unless a flag says so.
    AWS_ACCESS_KEY_ID: node?.accessKeyId,
    AWS_SECRET_ACCESS_KEY: node?.secretAccessKey,
  };

  const flagsWith = (flags: readonly string[]): string[] => [
    `--api-server=${api.url}`,
    `--node=${NODE_NAME}`,
    "--app-port=80",
    "--admin-port=0",
    `--availability-zone=${REGION}a`,
    `--state-dir=${folder}`,
    `--kubelet-root=${folder}`,
    `--attestation=${isAttested}`,
    `--proc-folder=${procFolder}`,
    "--log-level=debug",
    ...(options.flags ?? []),
    ...flags,
  ];
  const start = async (flags: readonly string[]): Promise<RunningShim> => {
    const { monotonicNow } = options;
    const config = shimConfig.parse(flagsWith(flags), {});
    return startShim(config, { env, log, clock, monotonicNow });
  };
  let shim = await start([]);
  resources.defer(() => shim[Symbol.asyncDispose]());
  await shim.whenReady;

  const token = async (
    from: string,
    ttlSeconds = 21_600,
  ): Promise<Readonly<Record<string, string>>> => {
    const headers = { "x-aws-ec2-metadata-token-ttl-seconds": String(ttlSeconds) };
    const { body } = await podAsk({ from, method: "PUT", path: "/latest/api/token", headers });
    return { "x-aws-ec2-metadata-token": body };
  };
  const running = resources.move();
  return {
    isAttested,
    api,
    aws,
    cluster,
    lines,
    get shim() {
      return shim;
    },
    async restart(flags = []) {
      await shim[Symbol.asyncDispose]();
      shim = await start(flags);
      await shim.whenReady;
    },
    another: start,
    spawn(flags) {
      const args = [IRSA, "shim", ...flagsWith(flags)];
      const child = spawn(process.execPath, args, {
        env: { ...process.env, ...env },
        stdio: ["ignore", "ignore", "inherit"],
      });
      running.defer(() => void child.kill("SIGKILL"));
      return child;
    },
    async role(name, { path = "/", subject, isOfOtherAccount = false } = {}) {
      const condition = { StringEquals: { [`${cluster.hostPath}:sub`]: subject } };
      const changes = subject === undefined ? {} : { Condition: condition };
      const account = isOfOtherAccount ? elsewhere : cluster;
      return account.createRole(name, changes, { Path: path });
    },
    pod(name, address, changes = {}) {
      const pod: PodOfNode = {
        name,
        uid: randomUUID(),
        serviceAccount: name,
        nodeName: NODE_NAME,
        addresses: [address],
        ...changes,
      };
      hide(name);
      if (pod.phase !== "Succeeded" && pod.phase !== "Failed") show(pod);
      api.putPod(pod);
      return pod;
    },
    removePod(name) {
      hide(name);
      api.removePod(name);
    },
    serviceAccount(name, roleArn, namespace) {
      const annotations = roleArn === undefined ? {} : { "eks.amazonaws.com/role-arn": roleArn };
      api.putServiceAccount(name, annotations, namespace);
    },
    ask: podAsk,
    token,
    async read(from, path) {
      return podAsk({ from, path, headers: await token(from) });
    },
    exchangesOf: (serviceAccount, namespace = "ns") =>
      aws
        .calls()
        .filter(({ action }) => action === "AssumeRoleWithWebIdentity")
        .filter(
          ({ webIdentity }) =>
            webIdentity?.subject === `system:serviceaccount:${namespace}:${serviceAccount}`,
        ).length,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
