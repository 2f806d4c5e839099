import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { systemClock, type Clock } from "../../lib/clock.ts";
import { listen } from "../../lib/http.ts";
import { CallLog, type Call } from "./call-log.ts";
import { createControlHandler } from "./control-handler.ts";
import { changeControls, type Changes, type Controls } from "./controls.ts";
import { FaultPlan, Faults } from "./faults.ts";
import { policyActions } from "./iam/policies.ts";
import { providerActions } from "./iam/providers.ts";
import { rolePolicyActions } from "./iam/role-policies.ts";
import { roleActions } from "./iam/roles.ts";
import type { NameTable } from "./identity-provider/endpoint.ts";
import { createKeySource } from "./identity-provider/key-source.ts";
import { createRequestHandler } from "./request-handler.ts";
import type { QueryService, ServiceDeps } from "./query-service.ts";
import { createS3 } from "./s3/s3-service.ts";
import { createStore, type AdministratorKey } from "./store.ts";
import { assumeRole } from "./sts/assume-role.ts";
import { assumeRoleWithWebIdentity } from "./sts/assume-role-with-web-identity.ts";
import { getCallerIdentity } from "./sts/get-caller-identity.ts";

export interface AwsOptions {
  /** Port of all services on 127.0.0.1. Default 0: any free one. */
  readonly port?: number | undefined;
  /** Host names, beside `localhost`, that its certificate is for. */
  readonly hostNames?: readonly string[] | undefined;
  /** What time it is. Default: the system's clock. */
  readonly clock?: Clock | undefined;
  /** Authorities that stand for the public ones when an issuer's certificate is checked, PEM. */
  readonly trustCaPems?: readonly string[] | undefined;
  /** Where host names of issuers are served, as `HOST:PORT`; other names are never looked up. */
  readonly resolve?: NameTable | undefined;
  /** Keep discovery documents and keys as their Cache-Control allows. Default false. */
  readonly jwksCache?: boolean | undefined;
  /** Partition of both accounts. Default `aws`. */
  readonly partition?: string | undefined;
  /** Longest wait for an issuer, in milliseconds. Default 5000, as AWS's. */
  readonly issuerTimeoutMs?: number | undefined;
  /** Told of each call when it ends: the audit log. */
  readonly onCall?: ((call: Call) => void) | undefined;
  /** Told of bugs of the stand-in. */
  readonly onError?: ((err: unknown) => void) | undefined;
}

/** A running stand-in of STS, IAM and a little of S3; it stops when it is disposed. */
export interface Aws extends AsyncDisposable {
  /** URLs to give to SDKs as explicit endpoints; they are the same. */
  readonly sts: string;
  readonly iam: string;
  readonly s3: string;
  /** Path of a PEM file with the authority of the stand-in's certificate, and its content. */
  readonly ca: string;
  readonly caPem: string;
  /** URL that takes changes and tells the calls. */
  readonly control: string;
  readonly accounts: readonly AdministratorKey[];
  /** The calls so far, oldest first. */
  calls(): readonly Call[];
  /** Changes settings; each given key replaces that whole setting. @throws AppError INPUT_INVALID */
  set(changes: Changes): void;
}

// AWS's own example accounts.
const ACCOUNT_IDS = ["111122223333", "444455556666"];
const HOST = "127.0.0.1";
const CERTIFICATE_LIFE_MS = 30 * 24 * 3600 * 1000;
const DRAIN_MS = 100;

/** Starts a stand-in and resolves once it listens. @throws the error of listening, such as EADDRINUSE. */
export async function startAws(options: AwsOptions = {}): Promise<Aws> {
  const { port = 0, clock = systemClock, partition = "aws", onError = () => {} } = options;
  const { store, administrators } = createStore(ACCOUNT_IDS, partition);
  const calls = new CallLog(options.onCall ?? (() => {}));
  const faults = new FaultPlan();
  let controls: Controls = {
    clockOffsetSeconds: 0,
    resolve: options.resolve ?? {},
    faults: Faults.parse({}),
    trustCaPems: options.trustCaPems ?? [],
    jwksCache: options.jwksCache ?? false,
  };
  const set = (changes: unknown): void => {
    const before = controls;
    controls = changeControls(controls, changes);
    if (controls.faults !== before.faults) faults.set(controls.faults);
  };
  const now = (): number => clock.now() + controls.clockOffsetSeconds * 1000;
  const keySource = createKeySource({
    network: () => ({ names: controls.resolve, trustCaPems: controls.trustCaPems }),
    now,
    isCaching: () => controls.jwksCache,
    timeoutMs: options.issuerTimeoutMs,
  });
  const deps: ServiceDeps = { store, faults, calls, now, sleep: (ms) => clock.sleep(ms), onError };
  const propagationDelaySeconds = (): number => faults.propagationDelaySeconds;
  const query: readonly QueryService[] = [
    {
      name: "sts",
      version: "2011-06-15",
      actions: {
        AssumeRoleWithWebIdentity: assumeRoleWithWebIdentity({
          store,
          keySource,
          propagationDelaySeconds,
        }),
        AssumeRole: assumeRole({ store }),
        GetCallerIdentity: getCallerIdentity,
      },
    },
    {
      name: "iam",
      version: "2010-05-08",
      actions: {
        ...providerActions(keySource),
        ...roleActions,
        ...rolePolicyActions,
        ...policyActions,
      },
    },
  ];

  await using resources = new AsyncDisposableStack();
  const authority = await newServingPair(options.hostNames ?? []);
  const folder = await mkdtemp(join(tmpdir(), "aws-stand-in-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const ca = join(folder, "ca.pem");
  await writeFile(ca, authority.caPem);
  const handler = createRequestHandler({ query, s3: createS3(deps) }, deps);
  const server = resources.use(
    await listen(handler, { port, host: HOST, drainMs: DRAIN_MS, keyPair: authority.pair }),
  );
  const control = resources.use(
    await listen(createControlHandler({ calls: () => calls.list(), set }), {
      port: 0,
      host: HOST,
      drainMs: DRAIN_MS,
    }),
  );
  const running = resources.move();
  const url = `https://${HOST}:${server.port}`;
  return {
    sts: url,
    iam: url,
    s3: url,
    ca,
    caPem: authority.caPem,
    control: `http://${HOST}:${control.port}`,
    accounts: administrators,
    calls: () => calls.list(),
    set,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function newServingPair(hostNames: readonly string[]) {
  // Whatever clock the stand-in is given, the TLS clients go by the system's.
  const nowMs = systemClock.now();
  const validity = { notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + CERTIFICATE_LIFE_MS };
  const authority = await createAuthority("AWS stand-in", validity);
  const pair = await issueServingCertificate(
    authority,
    ["localhost", HOST, ...hostNames],
    validity,
  );
  return { caPem: authority.cert, pair };
}
