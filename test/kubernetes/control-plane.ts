import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { KeyPair } from "../../lib/server-certificate.ts";
import type { ApiServerSettings } from "./api-server-flags.ts";
import { startApiServers, type ApiServers } from "./api-servers.ts";
import { findComponents, type CommandOf, type Component, type RunComponent } from "./components.ts";
import { startControllerManager, startScheduler } from "./controllers.ts";
import { createCredentials, type ClusterCredentials } from "./credentials.ts";
import { startEtcd } from "./etcd.ts";
import { createKubeClients, type KubeClients } from "./kube-clients.ts";
import { LOOPBACK, type Network } from "./network.ts";
import { createProgramRunner } from "./program-runner.ts";
import {
  createServiceAccount,
  requestToken,
  type IssuedToken,
  type TokenSpec,
} from "./service-accounts.ts";
import { createWorkspace } from "./workspace.ts";

/** What a control plane is made of. The API server settings are those of every API server. */
export interface ControlPlaneOptions extends ApiServerSettings {
  /** One entry for each API server, with what is its own; one API server when absent. */
  readonly apiServers?: readonly ApiServerSettings[] | undefined;
  /**
   * Runs kube-controller-manager: ServiceAccounts named `default`, garbage collection, Deployments.
   * Off by default; then a pod needs a ServiceAccount that the test created.
   */
  readonly controllerManager?: boolean | undefined;
  /** Runs kube-scheduler. Off by default. */
  readonly scheduler?: boolean | undefined;
  /** Has each API server write its `auditFile`. Off by default. */
  readonly auditLog?: boolean | undefined;
  /** Where it runs; on loopback when absent. */
  readonly network?: Network | undefined;
  /** `KUBEBUILDER_ASSETS`, `XDG_CACHE_HOME`, `TMPDIR`, what Go needs; that of this process when absent. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Told what takes long, as one sentence; written to stderr when absent. */
  readonly progress?: ((message: string) => void) | undefined;
}

/** A ServiceAccount as a user of the API. */
export interface ServiceAccountAccess extends KubeClients {
  readonly token: string;
  /** Path of a kubeconfig file with that token. */
  readonly kubeconfig: string;
}

/** A running Kubernetes without nodes. Ends when it is disposed of. */
export interface ControlPlane extends AsyncDisposable {
  readonly apiServers: ApiServers;
  /** URL of the first API server, for this process. */
  readonly url: string;
  /** URL of the first API server, for programs in its network. */
  readonly networkUrl: string;
  /** Verifies every API server, also under the name `kubernetes.default.svc`. */
  readonly caPem: string;
  /** Issues a certificate of a user who is a member of these groups. */
  issueClient(userName: string, ...groups: string[]): Promise<KeyPair>;
  /** Path of a kubeconfig file of a member of `system:masters`, at the first API server. */
  readonly kubeconfig: string;
  /** Clients of the same. */
  readonly admin: KubeClients;
  /** How to start a component's program by hand: `[...commandOf("kubectl"), "get", "pods"]`. */
  readonly commandOf: CommandOf;
  /** The private key, PEM, that signs tokens where no other was asked for. */
  readonly serviceAccountKeyPem: string;
  /** Creates a ServiceAccount, and its namespace when that is missing. */
  createServiceAccount(
    namespace: string,
    name: string,
    annotations?: Readonly<Record<string, string>>,
  ): Promise<void>;
  /** Has the first API server sign a token. For another one there is {@link requestToken}. */
  requestToken(spec: TokenSpec): Promise<IssuedToken>;
  /** Clients of a ServiceAccount at the first API server, with a token of one hour. */
  asServiceAccount(namespace: string, name: string): Promise<ServiceAccountAccess>;
  /** The last lines of each component's log, by its name. */
  logs(): Promise<Readonly<Record<string, string>>>;
}

const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata" }],
};

/**
 * Starts etcd and one or more API servers, and resolves when they are ready: RBAC is bootstrapped, and
 * the EndpointSlice `default/kubernetes` names them. Builds the programs when the cache lacks them.
 *
 * Everything is in a temporary folder of its own, so any number may run at once. Nothing survives: not
 * a failed start, nor the end of this process, whatever ends it.
 *
 * The API servers listen on several addresses (127.0.0.1, 127.0.0.2, … on loopback) and one common
 * port, since that is how production looks in the EndpointSlice.
 *
 * @throws AppError KUBERNETES_UNAVAILABLE naming the component, with the end of its log.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { env = process.env, progress = (message) => process.stderr.write(`${message}\n`) } =
    options;
  const { apiServers: each = [{}], controllerManager = false, scheduler = false } = options;
  const { network = LOOPBACK } = options;
  const wanted: Component[] = ["etcd", "kube-apiserver", "kubectl"];
  if (controllerManager) wanted.push("kube-controller-manager");
  if (scheduler) wanted.push("kube-scheduler");
  const commandOf = await findComponents(wanted, { env, progress });
  const hosts = network.apiServerHosts(each.length);

  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await createWorkspace(env["TMPDIR"]));
  const programs = stack.use(createProgramRunner(folder, env["PATH"]));
  const run: RunComponent = (component, flags, name = component) =>
    programs.start(name, network.command([...commandOf(component), ...flags]));
  const [credentials, etcd] = await Promise.all([
    createCredentials(hosts, Date.now()),
    startEtcd(folder, (flags) => run("etcd", flags)),
  ]);
  const auditPolicyFile = options.auditLog === true ? join(folder, "audit-policy.json") : undefined;
  await writeFiles(folder, credentials);

  const apiServers = await startApiServers({
    etcd,
    folder,
    credentials,
    run,
    auditPolicyFile,
    hosts,
    network,
    settings: each.map((own) => ({ ...options, ...own })),
  });
  const [{ url, admin, host, port }] = apiServers;
  const networkUrl = `https://${host}:${port}`;
  const controllerOptions = { folder, url: networkUrl, network, credentials, run };
  await Promise.all([
    controllerManager ? startControllerManager(controllerOptions, admin) : undefined,
    scheduler ? startScheduler(controllerOptions) : undefined,
  ]);
  const kubeconfig = join(folder, "admin.kubeconfig");
  await writeFile(kubeconfig, admin.kubeConfig.exportConfig());

  const running = stack.move();
  return {
    apiServers,
    url,
    networkUrl,
    caPem: credentials.caPem,
    issueClient: (...user) => credentials.issueClient(...user),
    kubeconfig,
    admin,
    commandOf,
    serviceAccountKeyPem: credentials.serviceAccountKeyPem,
    createServiceAccount: (...args) => createServiceAccount(admin.core, ...args),
    requestToken: (spec) => requestToken(admin.core, spec),
    async asServiceAccount(namespace, name) {
      const { token } = await requestToken(admin.core, { namespace, serviceAccount: name });
      const { caPem } = credentials;
      const clients = createKubeClients({ url, caPem }, `${namespace}/${name}`, { token });
      const path = join(folder, `${namespace}.${name}.kubeconfig`);
      await writeFile(path, clients.kubeConfig.exportConfig());
      return { ...clients, token, kubeconfig: path };
    },
    logs: () => programs.logs(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** The files that components are told the paths of. */
async function writeFiles(
  folder: string,
  { caPem, serving, admin, serviceAccountKeyPem }: ClusterCredentials,
): Promise<void> {
  const files = {
    "audit-policy.json": JSON.stringify(AUDIT_POLICY),
    "ca.crt": caPem,
    "admin.crt": admin.cert,
    "admin.key": admin.key,
    "serving.crt": serving.cert,
    "serving.key": serving.key,
    "service-account.pem": serviceAccountKeyPem,
  };
  await Promise.all(
    Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)),
  );
}
