import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cachePath, type GoProgram } from "../go-build.ts";
import type { KubeClients } from "../kube-clients.ts";
import type { ProgramRunner } from "../program-runner.ts";
import { DNS_SERVICE_IP } from "../service-network.ts";
import { untilReady } from "../until-ready.ts";
import { BUSYBOX } from "./busybox-images.ts";
import { CLUSTER_DOMAIN } from "./kubelet.ts";
import type { Machine } from "./machine.ts";

const VERSION = "1.15.0";
const PORT = 53;
const OWN_NAME = `kube-dns.kube-system.svc.${CLUSTER_DOMAIN}`;
const LABELS = { "k8s-app": "kube-dns" };

export interface ClusterDns {
  /** Adds a name outside of the cluster, and resolves when pods may resolve it. */
  add(name: string, address: string): Promise<void>;
  /** Resolves when a node reaches the Service: kube-proxy has its rules in place. */
  untilReachable(node: Machine): Promise<void>;
}

/** CoreDNS, as `go install` makes it. */
export function coreDnsProgram(env: NodeJS.ProcessEnv): GoProgram {
  return {
    title: `CoreDNS ${VERSION}`,
    minutes: 4,
    goMinimum: [1, 26],
    binary: cachePath(`coredns-${VERSION}`, env),
    resultName: "coredns",
    command: (folder) => ({
      args: ["install", "-trimpath", "-ldflags=-s -w", `github.com/coredns/coredns@v${VERSION}`],
      env: { GOBIN: folder },
    }),
  };
}

/**
 * Starts CoreDNS in the network of a node, behind the Service `kube-system/kube-dns`, and resolves when
 * it answers from the cluster's Services. It is no pod, so that it needs no image and no time to be
 * scheduled; what pods see of it is the same.
 */
export async function startClusterDns(
  programs: ProgramRunner,
  machine: Machine,
  {
    binary,
    address,
    kubeconfig,
    admin,
  }: {
    readonly binary: string;
    /** Of the node. */
    readonly address: string;
    /** Kubeconfig, as text, of {@link DNS_USER}. */
    readonly kubeconfig: string;
    readonly admin: KubeClients;
  },
): Promise<ClusterDns> {
  const path = (name: string): string => join(programs.folder, `coredns${name}`);
  const hostsFile = path(".hosts");
  await writeFile(path(".kubeconfig"), kubeconfig);
  await writeFile(hostsFile, "");
  await writeFile(path(".zone"), NO_NAMES);
  await writeFile(path(".corefile"), corefile(address, path));
  await publish(admin, address);
  const commandLine = machine.inNetwork([binary, "-conf", path(".corefile")]);
  const supervised = await programs.start("coredns", commandLine);
  await untilReady(supervised, () => resolves(machine, address, OWN_NAME, DNS_SERVICE_IP));
  let hosts = "";
  return {
    async add(name, ip) {
      hosts += `${ip} ${name}\n`;
      await writeFile(hostsFile, hosts);
      await untilReady(supervised, () => resolves(machine, address, name, ip));
    },
    untilReachable: (node) =>
      untilReady(supervised, () => resolves(node, DNS_SERVICE_IP, OWN_NAME, DNS_SERVICE_IP)),
  };
}

async function resolves(
  asker: Machine,
  server: string,
  name: string,
  address: string,
): Promise<boolean> {
  const answer = await asker.run(BUSYBOX, "nslookup", "-type=a", name, `${server}:${PORT}`);
  return answer.includes(`Address: ${address}\n`);
}

/** Who the DNS server is to the API server. */
export const DNS_USER = "system:coredns";

// CoreDNS: coredns.io/manual/toc. What is neither in the cluster nor in the file does not exist.
function corefile(address: string, path: (name: string) => string): string {
  return `.:${PORT} {
  bind ${address}
  errors
  kubernetes ${CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {
    kubeconfig ${path(".kubeconfig")}
    ttl 1
  }
  hosts ${path(".hosts")} {
    ttl 1
    reload 50ms
    fallthrough
  }
  file ${path(".zone")} .
}
`;
}

const NO_NAMES = `$ORIGIN .
@ 1 IN SOA localhost. nobody.localhost. 1 3600 3600 3600 1
@ 1 IN NS localhost.
`;

/** Its Service, and what it may read (github.com/coredns/deployment/blob/master/kubernetes). */
async function publish({ core, discovery, rbac }: KubeClients, address: string): Promise<void> {
  const metadata = { name: "kube-dns", namespace: "kube-system", labels: LABELS };
  const ports = [
    { name: "dns", port: PORT, protocol: "UDP" },
    { name: "dns-tcp", port: PORT, protocol: "TCP" },
  ];
  const read = ["list", "watch"];
  await Promise.all([
    rbac.createClusterRole({
      body: {
        metadata: { name: DNS_USER },
        rules: [
          { apiGroups: [""], resources: ["namespaces", "pods", "services"], verbs: read },
          { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: read },
        ],
      },
    }),
    rbac.createClusterRoleBinding({
      body: {
        metadata: { name: DNS_USER },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: DNS_USER },
        subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: DNS_USER }],
      },
    }),
    core.createNamespacedService({
      namespace: "kube-system",
      body: { metadata, spec: { clusterIP: DNS_SERVICE_IP, ports } },
    }),
    discovery.createNamespacedEndpointSlice({
      namespace: "kube-system",
      body: {
        metadata: { ...metadata, labels: { "kubernetes.io/service-name": "kube-dns" } },
        addressType: "IPv4",
        endpoints: [{ addresses: [address], conditions: { ready: true } }],
        ports,
      },
    }),
  ]);
}
