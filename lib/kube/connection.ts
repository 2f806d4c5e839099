import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { dirname, resolve } from "node:path";
import { KubeConfig, type Context, type User } from "@kubernetes/client-node";
import { parse } from "yaml";
import { z } from "zod";
import { AppError, reasonOf } from "../errors.ts";
import { createTransport, type ApiServer, type Target, type Transport } from "./transport.ts";

export type { ApiServer, KubeAnswer, KubeRequest, KubeStream } from "./transport.ts";

export interface ConnectOptions {
  /** Path of a kubeconfig file; its current context is used. */
  readonly kubeconfig?: string | undefined;
  /** URL of the API server; replaces the one of the kubeconfig, without one there are no credentials. */
  readonly kubeApi?: string | undefined;
  /** Bearer token for `kubeApi` without a kubeconfig. */
  readonly kubeToken?: string | undefined;
  /** Whether the certificate of `kubeApi` is taken unseen, without a kubeconfig. */
  readonly insecureKubeApi?: boolean | undefined;
  /** Folder that stands for `/` when looking for a pod's own ServiceAccount files. */
  readonly inClusterRoot?: string | undefined;
}

/** The way to one cluster. */
export interface KubeConnection extends Transport {
  /** For typed calls by `makeApiClient`. */
  readonly config: KubeConfig;
}

/**
 * Opens the way to a cluster; nothing is sent yet. The rules are those of the AWS webhook's flags
 * (client-go's BuildConfigFromFlags): the kubeconfig file, its server replaced by `kubeApi`; the API
 * URL alone; the pod's own ServiceAccount when both are empty.
 *
 * Credentials are those of client-node: tokens, token files (read again once older than 60 s, as
 * client-go does), client certificates, exec and OIDC plugins. Files of certificates are read for
 * each request, so a rotated one is used at once.
 *
 * @throws AppError CONFIG_INVALID when none of them works.
 */
export function connect(options: ConnectOptions): KubeConnection {
  const config = checked(load(options));
  const main = targetOf(config);
  // One for each server, since client-node keeps tokens and proxy agents with the configuration.
  const others = new Map<string, Target>();

  const transport = createTransport((server) => {
    if (server === undefined) return main;
    const key = JSON.stringify([server.url, server.serverName]);
    const target = others.get(key) ?? targetOf(withServer(config, server));
    others.set(key, target);
    return target;
  });
  return { config, ...transport };
}

function load({
  kubeconfig = "",
  kubeApi = "",
  kubeToken = "",
  insecureKubeApi = false,
  inClusterRoot = "",
}: ConnectOptions): KubeConfig {
  if (kubeconfig !== "") {
    const config = fromFile(kubeconfig);
    return kubeApi === "" ? config : withServer(config, { url: apiUrl(kubeApi) });
  }
  const config = new KubeConfig();
  if (kubeApi !== "") {
    const skipTLSVerify = insecureKubeApi || isPlain(kubeApi);
    const cluster = { name: "kube-api", server: apiUrl(kubeApi), skipTLSVerify };
    const user = kubeToken === "" ? { name: "anonymous" } : { name: "bearer", token: kubeToken };
    config.loadFromClusterAndUser(cluster, user);
    return config;
  }
  config.loadFromCluster(inClusterRoot);
  // client-node takes its variables unchecked: without them the server is https://undefined:undefined.
  const server = config.getCurrentCluster()?.server ?? "";
  if (/\/\/undefined|:undefined$/.test(server) || !URL.canParse(server)) {
    const wanted = "expected a kubeconfig file, an API server URL, or to run in a pod";
    throw invalid(`KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: ${wanted}`);
  }
  return config;
}

const KubeconfigUsers = z.looseObject({
  users: z
    .array(
      z.looseObject({
        name: z.string(),
        user: z.looseObject({ tokenFile: z.string().optional() }).nullish(),
      }),
    )
    .nullish(),
});

function fromFile(path: string): KubeConfig {
  const config = new KubeConfig();
  let tokenFiles: ReadonlyMap<string, string>;
  try {
    config.loadFromFile(path);
    tokenFiles = tokenFilesOf(path);
  } catch (cause) {
    // A parser's error quotes lines of the file, which may be credentials.
    const quotesNothing =
      cause instanceof Error && ("syscall" in cause || cause.message.endsWith(" is missing"));
    const reason = quotesNothing ? cause.message : "it is not a kubeconfig in YAML or JSON";
    throw invalid(`cannot read kubeconfig ${quoted(path)}: ${reason}`);
  }
  // client-node looks for `token-file`; the field is `tokenFile`, and it wins over `token`
  // (Kubernetes, "client.authentication: kubeconfig v1", AuthInfo).
  config.users = config.users.map((user): User => {
    const tokenFile = tokenFiles.get(user.name);
    if (tokenFile === undefined) return user;
    const { token: _replaced, ...rest } = user;
    return { ...rest, authProvider: { name: "tokenFile", config: { tokenFile } } };
  });
  return config;
}

function tokenFilesOf(path: string): ReadonlyMap<string, string> {
  const { users } = KubeconfigUsers.parse(parse(readFileSync(path, "utf8")));
  return new Map(
    (users ?? []).flatMap(({ name, user }) => {
      const file = user?.tokenFile ?? "";
      return file === "" ? [] : [[name, resolve(dirname(path), file)] as const];
    }),
  );
}

/** Makes mistakes of the configuration errors of the start, not of the first request. */
function checked(config: KubeConfig): KubeConfig {
  const context = config.getContextObject(config.getCurrentContext());
  if (context === null) {
    throw invalid(
      `current-context ${quoted(config.getCurrentContext())} is not one of its contexts`,
    );
  }
  const cluster = config.getCluster(context.cluster);
  if (cluster === null) throw invalid(`cluster ${quoted(context.cluster)} is not there`);
  apiUrl(cluster.server);
  if (isPlain(cluster.server) && !cluster.skipTLSVerify) {
    const wanted = "expected https, or insecure-skip-tls-verify to be true";
    throw invalid(`server ${quoted(cluster.server)}: ${wanted}`);
  }
  const user = userOf(config, context);
  for (const file of [cluster.caFile, user.certFile, user.keyFile, tokenFileOf(user)]) {
    if (file !== undefined) assertReadable(file);
  }
  return config;
}

function userOf(config: KubeConfig, context: Context): User {
  // A file may leave the user out, which the types of client-node do not say.
  const name: string | undefined = context.user;
  const user = name === undefined ? null : config.getUser(name);
  if (user !== null) return user;
  if (name !== undefined) throw invalid(`user ${quoted(name)} is not there`);
  // Without any user client-node would not apply the CA either.
  const anonymous: User = { name: "anonymous" };
  config.users = [...config.users, anonymous];
  config.contexts = config.contexts.map((other) =>
    other.name === context.name ? { ...other, user: anonymous.name } : other,
  );
  return anonymous;
}

const TokenFileProvider = z.object({ config: z.object({ tokenFile: z.string() }) });

function tokenFileOf(user: User): string | undefined {
  return TokenFileProvider.safeParse(user.authProvider).data?.config.tokenFile;
}

function assertReadable(file: string): void {
  try {
    readFileSync(file);
  } catch (cause) {
    throw invalid(`cannot read ${quoted(file)}: ${reasonOf(cause)}`, cause);
  }
}

/** The same cluster and user, asked at another address. */
function withServer(config: KubeConfig, { url, serverName }: ApiServer): KubeConfig {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw invalid("there is no current cluster");
  const other = new KubeConfig();
  other.loadFromOptions({
    clusters: [
      {
        ...cluster,
        server: url,
        // A name for the old address says nothing about the new one; client-go drops it as well.
        tlsServerName: serverName,
        skipTLSVerify: cluster.skipTLSVerify || isPlain(url),
      },
    ],
    users: config.getUsers(),
    contexts: config.getContexts(),
    currentContext: config.getCurrentContext(),
  });
  return other;
}

function targetOf(config: KubeConfig): Target {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw invalid("there is no current cluster");
  return {
    url: cluster.server,
    async authorize(options) {
      const { agent } = options;
      try {
        await config.applyToHTTPSOptions(options);
      } catch (cause) {
        // A parse error quotes the text, which here is what a credential plugin printed.
        // oxlint-disable-next-line eslint/preserve-caught-error -- it may hold a token
        if (cause instanceof SyntaxError) throw new Error("the credential plugin printed no JSON");
        throw cause;
      }
      // client-node makes an agent once and keeps the certificates of that time in it; ours knows
      // connections by the settings of each request. Only a proxy needs what it made.
      if (cluster.proxyUrl === undefined) options.agent = agent;
      trimAuthorization(options);
    },
  };
}

// A token file may end with a newline, which no header may hold.
function trimAuthorization({ headers }: RequestOptions): void {
  if (headers === undefined || !("Authorization" in headers)) return;
  const { Authorization: value } = headers;
  if (typeof value === "string") headers["Authorization"] = value.trim();
}

function isPlain(url: string): boolean {
  return url.startsWith("http:");
}

function apiUrl(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw invalid(`server ${quoted(text)}: expected an http or https URL`);
  }
  return text;
}

function quoted(text: string | undefined): string {
  return JSON.stringify(text ?? "");
}

function invalid(problem: string, cause?: unknown): AppError {
  const message = `Cannot connect to Kubernetes: ${problem}`;
  return new AppError("CONFIG_INVALID", 500, message, cause === undefined ? {} : { cause });
}
