/** A Kubernetes API that the demo may fill: the embedded stand-in, or a real control plane. */
export interface Cluster extends AsyncDisposable {
  /** What it is, in words for the reader. */
  readonly name: string;
  /** URLs of all its API servers. */
  readonly apiServers: readonly string[];
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string;
}
