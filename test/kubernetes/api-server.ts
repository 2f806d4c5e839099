import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { apiServerFlags, type ApiServerSettings } from "./api-server-flags.ts";
import type { RunComponent } from "./components.ts";
import type { ClusterCredentials } from "./credentials.ts";
import { httpsGet, type HttpsAnswer } from "./https-get.ts";
import { createKubeClients, type KubeClients } from "./kube-clients.ts";
import type { SupervisedProcess } from "./supervised-process.ts";
import { untilReady } from "./until-ready.ts";

/** One kube-apiserver of a control plane. */
export interface ApiServer {
  /**
   * Where this process reaches it; on loopback `https://127.0.0.1:PORT` for the first,
   * `https://127.0.0.2:PORT` for the second, and so on.
   */
  readonly url: string;
  /** Where it listens in its network. */
  readonly host: string;
  readonly port: number;
  /** Clients of a member of `system:masters`, at this API server. */
  readonly admin: KubeClients;
  /** Gets a path as an admin: status, headers and exact body. */
  getRaw(path: string): Promise<HttpsAnswer>;
  /** With `auditLog`: where it writes one JSON audit event a line (level Metadata). */
  readonly auditFile: string;
  readonly isRunning: boolean;
  /**
   * Starts it again after {@link stop}, at the same address, and resolves when it is ready.
   *
   * @param changes What differs from its last start, such as other keys.
   * @throws AppError KUBERNETES_UNAVAILABLE with the end of its log.
   */
  start(changes?: ApiServerSettings): Promise<void>;
  /** Ends it as an orderly shutdown does; what it stored stays. Takes about 2 seconds. */
  stop(): Promise<void>;
}

export interface ApiServerOptions {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly settings: ApiServerSettings;
  readonly credentials: ClusterCredentials;
  readonly etcdUrl: string;
  /** Of the control plane, with `ca.crt`, and `serving` and `admin` each as `.crt` and `.key`. */
  readonly folder: string;
  readonly auditPolicyFile: string | undefined;
  readonly run: RunComponent;
  /** Told after a start and before a stop. */
  readonly onChange: () => Promise<void>;
}

const STOP_GRACE_MS = 20_000;

/** Describes an API server; {@link ApiServer.start} starts it. */
export function createApiServer({
  host,
  port,
  url,
  settings,
  credentials,
  etcdUrl,
  folder,
  auditPolicyFile,
  run,
  onChange,
}: ApiServerOptions): ApiServer {
  const name = `kube-apiserver-${host}`;
  const getRaw = (path: string): Promise<HttpsAnswer> =>
    httpsGet(`${url}${path}`, { caPem: credentials.caPem, clientCertificate: credentials.admin });
  const auditFile = join(folder, `${name}-audit.jsonl`);
  let current = settings;
  let process: SupervisedProcess | undefined;

  async function launch(): Promise<void> {
    if (process !== undefined) throw new Error(`Expected ${url} to be stopped before it starts`);
    const { signingKeyPem = credentials.serviceAccountKeyPem } = current;
    const { verificationKeysPem = [signingKeyPem] } = current;
    const keyFolder = join(folder, name);
    const signingKeyFile = join(keyFolder, "sign.pem");
    const verificationKeyFiles = verificationKeysPem.map((_, i) =>
      join(keyFolder, `verify-${i}.pem`),
    );
    await mkdir(keyFolder, { recursive: true });
    await writeFile(signingKeyFile, signingKeyPem);
    await Promise.all(
      verificationKeysPem.map((pem, i) => writeFile(join(keyFolder, `verify-${i}.pem`), pem)),
    );
    const place = {
      host,
      port,
      etcdUrl,
      caFile: join(folder, "ca.crt"),
      certFile: join(folder, "serving.crt"),
      keyFile: join(folder, "serving.key"),
      kubeletClient: {
        certFile: join(folder, "admin.crt"),
        keyFile: join(folder, "admin.key"),
      },
      signingKeyFile,
      verificationKeyFiles,
      audit:
        auditPolicyFile === undefined
          ? undefined
          : { policyFile: auditPolicyFile, logFile: auditFile },
    };
    const started = await run("kube-apiserver", apiServerFlags(place, current), name);
    process = started;
    void started.ended.finally(() => {
      if (process === started) process = undefined;
    });
    await untilReady(started, async () => (await getRaw("/readyz")).status === 200);
  }

  return {
    url,
    host,
    port,
    auditFile,
    getRaw,
    admin: createKubeClients({ url, caPem: credentials.caPem }, "admin", credentials.admin),
    get isRunning() {
      return process !== undefined;
    },
    async start(changes = {}) {
      current = { ...current, ...changes };
      await launch();
      await onChange();
    },
    async stop() {
      const stopping = process;
      if (stopping === undefined) return;
      process = undefined;
      await onChange();
      await stopping.stop(STOP_GRACE_MS);
    },
  };
}
