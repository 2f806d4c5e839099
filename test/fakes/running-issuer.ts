import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request as plainRequest } from "node:http";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { startIssuer, type RunningIssuer } from "../../oidc-issuer/main.ts";
import { createCollectedLog } from "./collected-log.ts";
import { servedKey, type FakeCluster, type KeyApiServer } from "./key-api-server.ts";
import { createMovedClock } from "./moved-clock.ts";
import { until } from "./until.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
/** Keys that API servers may serve. */
export const keys = { a: servedKey("a"), b: servedKey("b"), c: servedKey("c") };

/** A folder of this test alone. */
export async function temporaryFolder(cluster: FakeCluster, t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(cluster.folder, "test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Serves both ports on loopback, wherever there is room. */
export const issuerConfigOf = (...flags: readonly string[]) =>
  issuerConfig.parse(
    [
      "--issuer=https://oidc.example.com/prod",
      "--host=127.0.0.1",
      "--port=0",
      "--metrics-port=0",
      "--drain-seconds=0",
      ...flags,
    ],
    {},
  );

/** Flags that ask these servers as their own cluster's API servers. */
export async function askServers(
  cluster: FakeCluster,
  ...servers: readonly KeyApiServer[]
): Promise<readonly string[]> {
  const [first] = servers;
  assert.ok(first);
  return [
    `--kubeconfig=${await cluster.kubeconfigFor(first)}`,
    "--api-server-name=kubernetes.default.svc",
    ...servers.map(({ url }) => `--api-server=${url}`),
  ];
}

/** Starts the issuer on a clock that the test moves. */
export async function startMovedIssuer(...flags: readonly string[]) {
  const clock = createMovedClock();
  const { log, lines } = createCollectedLog();
  const issuer = await startIssuer(issuerConfigOf(...flags), { log, clock });
  return {
    issuer,
    clock,
    lines,
    loops: loopsOf(flags),
    [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose](),
  };
}

/** How many loops of the poller run: each directory has one, and each source. */
export function loopsOf(flags: readonly string[]): number {
  const count = (name: string) => flags.filter((flag) => flag.startsWith(`--${name}`)).length;
  return 2 + count("api-server=") + 2 * count("discover-api-servers");
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Asks the public port. */
export async function get({ port }: RunningIssuer, path: string): Promise<Answer> {
  assert.ok(port);
  const headers = { host: "oidc.example.com", connection: "close" };
  return send(plainRequest({ host: "127.0.0.1", port, path, headers }));
}

/** Asks the port of metrics and probes. */
export async function getOperations({ metricsPort }: RunningIssuer, path: string): Promise<Answer> {
  const headers = { connection: "close" };
  return send(plainRequest({ host: "127.0.0.1", port: metricsPort, path, headers }));
}

export async function send(sent: ReturnType<typeof plainRequest>): Promise<Answer> {
  sent.end();
  const [response] = await once(sent, "response");
  let body = "";
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, body };
}

/** The kids that the issuer publishes now. */
export async function servedKids(issuer: RunningIssuer): Promise<readonly string[]> {
  const { status, body } = await get(issuer, "/prod/openid/v1/jwks");
  assert.equal(status, 200);
  return kidsOf(body);
}

export function kidsOf(jwks: string): readonly string[] {
  const { keys: published }: { keys: readonly { kid: string }[] } = JSON.parse(jwks);
  return published.map(({ kid }) => kid);
}

/** The value of one sample; undefined when there is none. */
export async function metric(issuer: RunningIssuer, sample: string): Promise<number | undefined> {
  const { body } = await getOperations(issuer, "/metrics");
  const line = body.split("\n").find((text) => text.startsWith(`${sample} `));
  return line === undefined ? undefined : Number(line.slice(sample.length + 1));
}

export const messages = (lines: readonly Readonly<Record<string, unknown>>[]) =>
  lines.map(({ msg }) => msg);

/** Lets the sources be asked once more, and waits until they have been. */
export async function pollAgain(
  { clock, loops }: { clock: ReturnType<typeof createMovedClock>; loops: number },
  ms = MINUTE_MS,
): Promise<void> {
  const isAsleep = () => clock.sleepers().length >= loops;
  await until("every loop sleeps", isAsleep);
  clock.advance(ms);
  await until("every loop sleeps again", isAsleep);
}
