import { LRUCache } from "lru-cache";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { orAbort } from "../../lib/kube/deadline.ts";
import { isLoopback, normaliseAddress } from "./address.ts";
import type { Attestor } from "./attestor.ts";
import type { CallerConnection, CallerDecision, IdentifyCaller, PodReference } from "./caller.ts";
import type { KnownPod } from "./known-pod.ts";
import type { LivePods } from "./live-pods.ts";
import type { NodePods } from "./node-pods.ts";
import { Proofs, type ProofAges } from "./proofs.ts";
import type { Flow } from "./socket-table.ts";

export interface IdentifyCallerDeps {
  readonly pods: Pick<NodePods, "synced" | "at" | "whenChanged">;
  readonly livePods: Pick<LivePods, "at">;
  /** The kernel's word, where it can be asked; a live read takes its place where it cannot. */
  readonly attestor?: Attestor | undefined;
  /** What pods connect to, before any DNAT rule: `169.254.169.254` and port 80. */
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
  /** Longest wait for a pod that is about to appear, and for all that is asked meanwhile. */
  readonly waitMs: number;
  readonly clock: Clock;
  /** A connection that showed the address of a pod and was not the pod's. */
  readonly onForeign?: ((pod: KnownPod, address: string) => void) | undefined;
  /** Pods at one address, of which none gets anything. */
  readonly onAmbiguous?: ((pods: readonly PodReference[], address: string) => void) | undefined;
}

/**
 * How long what was proven of a connection is taken for true. A pod that is still there keeps its network
 * namespace, and its address with it, so that a look at it spares the search for the socket.
 */
const PROOF_AGES: ProofAges = { unseenMs: 1000, confirmedMs: 10_000 };

/** The pods of the node are read live for an address that nobody has at most this often. */
const LOOK_UP_EVERY_MS = 5000;

/** A node has some hundred pods. */
const MAX_FOUND = 1000;

const UNKNOWN: CallerDecision = Object.freeze({ status: "unknown" });
const NOT_LISTED: CallerDecision = Object.freeze({
  status: "unavailable",
  reason: "the pods of this node are not listed yet",
});

/**
 * Makes the function that says which pod a request comes from.
 *
 * The watch alone is never enough: it may be behind when an address goes from one pod to another. So
 * each connection is proven once, by the kernel (which pod's network namespace has the other end?) or,
 * where it cannot be asked, by a live read that begins after the request came. What cannot be proven
 * gets no answer. A pod that is not known yet is waited for, until its event comes or the time is up.
 */
export function createIdentifyCaller(deps: IdentifyCallerDeps): IdentifyCaller {
  const { pods, clock } = deps;
  const proofs = new Proofs(PROOF_AGES);
  const decisions = new WeakMap<KnownPod, CallerDecision & { readonly status: "known" }>();
  // Reading an address takes as long as all the rest of a request on a connection that is proven.
  const addresses = new WeakMap<CallerConnection, { text: string; address: string | undefined }>();
  let lookedUpMs = Number.NEGATIVE_INFINITY;
  /** When a live read found a pod at an address of which the watch had not told. */
  const foundMs = new LRUCache<string, number>({ max: MAX_FOUND });

  return (remoteAddress, connection) => {
    const address = callerAddressOf(remoteAddress, connection);
    if (address === undefined) return UNKNOWN;
    const pod = provenPod(address, connection);
    return pod === undefined ? identify(address, connection) : known(pod, address);
  };

  async function identify(address: string, connection: CallerConnection): Promise<CallerDecision> {
    const pod = await confirmedPod(address, connection);
    if (pod !== undefined) return known(pod, address);

    using wait = startWait(clock, deps.waitMs);
    for (;;) {
      // Before the look, so that no change between the two is missed.
      const changed = pods.whenChanged(address, wait.signal);
      const decision = await judge(address, connection, wait.signal);
      if (decision.status === "known") return decision;
      await changed;
      if (!wait.signal.aborted) continue;
      if (decision.status === "ambiguous") deps.onAmbiguous?.(decision.pods, address);
      return decision;
    }
  }

  function onlyPodAt(address: string): KnownPod | undefined {
    const found = pods.at(address);
    return found.length === 1 ? found[0] : undefined;
  }

  function provenPod(address: string, connection: CallerConnection): KnownPod | undefined {
    const pod = onlyPodAt(address);
    return pod !== undefined && proofs.has(connection, pod.uid, clock.now()) ? pod : undefined;
  }

  async function confirmedPod(
    address: string,
    connection: CallerConnection,
  ): Promise<KnownPod | undefined> {
    const pod = onlyPodAt(address);
    const nowMs = clock.now();
    if (pod === undefined || !proofs.isConfirmable(connection, pod.uid, nowMs)) return undefined;
    if ((await deps.attestor?.isThere(pod.uid)) !== true) return undefined;
    proofs.confirm(connection, nowMs);
    // Another may have the address by now.
    return provenPod(address, connection);
  }

  async function judge(
    address: string,
    connection: CallerConnection,
    signal: AbortSignal,
  ): Promise<CallerDecision> {
    if (!pods.synced) return NOT_LISTED;
    const [pod, ...others] = pods.at(address);
    if (others.length > 0) return ambiguous(pods.at(address));
    if (pod !== undefined) {
      const decision = await prove(pod, { address, connection, signal });
      if (decision.status !== "unknown") return decision;
    }
    if (!mayLookUp(address)) return UNKNOWN;
    const live = await readLive({ address, signal });
    if (!Array.isArray(live)) return UNKNOWN;
    if (live.length > 0) foundMs.set(address, clock.now());
    return attestedOf(live, { address, connection, signal });
  }

  /** Who was found so once asks on: for credentials, after the name of the role. */
  function mayLookUp(address: string): boolean {
    const nowMs = clock.now();
    // Also when the clock was set back.
    const isLately = (ms = Number.NEGATIVE_INFINITY): boolean =>
      Math.abs(nowMs - ms) < LOOK_UP_EVERY_MS;
    if (isLately(foundMs.get(address))) return true;
    if (isLately(lookedUpMs)) return false;
    lookedUpMs = nowMs;
    return true;
  }

  /** Unknown when the pod is not at the other end. */
  async function prove(pod: KnownPod, question: Question): Promise<CallerDecision> {
    const { address, connection } = question;
    const attestation = await deps.attestor?.attest(pod.uid, flowOf(address, connection));
    if (attestation === "foreign") {
      deps.onForeign?.(pod, address);
      return UNKNOWN;
    }
    if (attestation === "owned") {
      // It may have gone while the kernel was asked.
      return onlyPodAt(address)?.uid === pod.uid ? proven(pod, question, true) : UNKNOWN;
    }
    const isPrimary = normaliseAddress(pod.podIp) === address;
    const live = await readLive({ ...question, podIp: isPrimary ? pod.podIp : undefined });
    if (!Array.isArray(live)) return live;
    const [found, ...others] = live;
    if (found === undefined) return UNKNOWN;
    if (others.length > 0) return ambiguous(live);
    return found.uid === pod.uid ? proven(found, question) : attestedOf(live, question);
  }

  /** The one pod of a live read, unless the kernel knows better. */
  async function attestedOf(
    live: readonly KnownPod[],
    question: Question,
  ): Promise<CallerDecision> {
    const [pod, ...others] = live;
    if (pod === undefined) return UNKNOWN;
    if (others.length > 0) return ambiguous(live);
    const flow = flowOf(question.address, question.connection);
    const attestation = await deps.attestor?.attest(pod.uid, flow);
    if (attestation === "foreign") {
      deps.onForeign?.(pod, question.address);
      return UNKNOWN;
    }
    return proven(pod, question, attestation === "owned");
  }

  async function readLive({
    address,
    podIp,
    signal,
  }: Pick<Question, "address" | "signal"> & { readonly podIp?: string | undefined }): Promise<
    KnownPod[] | CallerDecision
  > {
    try {
      return [...(await orAbort(deps.livePods.at(address, podIp), signal))];
    } catch (err) {
      const reason = signal.aborted ? "the API server did not answer in time" : reasonOf(err);
      return { status: "unavailable", reason };
    }
  }

  function proven(
    pod: KnownPod,
    { address, connection }: Question,
    byKernel = false,
  ): CallerDecision {
    proofs.add(connection, { podUid: pod.uid, byKernel, nowMs: clock.now() });
    return known(pod, address);
  }

  function known(pod: KnownPod, address: string): CallerDecision {
    // The same for the same pod, so that what was decided of it can be remembered.
    const before = decisions.get(pod);
    if (before?.caller.address === address) return before;
    const { uid: podUid, name: podName, namespace, serviceAccount, annotations, httpTokens } = pod;
    const caller = {
      podUid,
      podName,
      namespace,
      serviceAccount,
      address,
      podAnnotations: annotations,
      httpTokens,
    };
    const decision = { status: "known", caller } as const;
    decisions.set(pod, decision);
    return decision;
  }

  /** Undefined for what is no address, or this machine's own. */
  function callerAddressOf(text: string, connection: CallerConnection): string | undefined {
    const read = addresses.get(connection);
    if (read?.text === text) return read.address;
    const normalised = normaliseAddress(text);
    const address = normalised === undefined || isLoopback(normalised) ? undefined : normalised;
    addresses.set(connection, { text, address });
    return address;
  }

  function flowOf(address: string, connection: CallerConnection): Flow {
    const { remotePort, localAddress, localPort } = connection;
    const here = normaliseAddress(localAddress);
    return {
      localAddress: address,
      localPort: remotePort,
      remotes: [
        ...deps.endpoints,
        ...(here === undefined ? [] : [{ address: here, port: localPort }]),
      ],
    };
  }
}

interface Question {
  readonly address: string;
  readonly connection: CallerConnection;
  readonly signal: AbortSignal;
}

function ambiguous(pods: readonly KnownPod[]): CallerDecision {
  const references = pods.map(({ uid, name, namespace }) => ({ uid, name, namespace }));
  return { status: "ambiguous", pods: references };
}

/** A signal that aborts when the time is up, and at the end of its use. */
function startWait(clock: Clock, waitMs: number): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const end = (): void => controller.abort(new Error("the time is up"));
  void clock.sleep(waitMs, controller.signal).then(end);
  return { signal: controller.signal, [Symbol.dispose]: end };
}
