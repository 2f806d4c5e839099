import type { Flow } from "./socket-table.ts";

/** What the kernel says of a connection and a pod. */
export type Attestation =
  /** The pod's network namespace has the other end of the connection. */
  | "owned"
  /** It has not, or another pod's has: whoever sent it only shows the pod's address. */
  | "foreign"
  /** No process of the pod is visible, as in a virtual machine of its own; nothing is known. */
  | "unseen";

/** Who can say which pod a connection comes from, whatever address it shows. */
export interface Attestor {
  /** @param flow As the pod sees it: its own address and port are the local ones. */
  attest(podUid: string, flow: Flow): Promise<Attestation>;
  /**
   * Whether a pod, of which a connection was found `owned` before, still has the process that such
   * connections are looked for in. It costs a hundredth of that: the kernel goes through the sockets of
   * the whole machine to tell those of one namespace.
   */
  isThere(podUid: string): Promise<boolean>;
}
