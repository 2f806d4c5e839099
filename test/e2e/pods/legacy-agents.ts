/** The command of the image with iptables, for a profile. */
const command = (profile: string): readonly string[] => [
  "/nodejs/bin/node",
  "/app/irsa.mjs",
  "shim",
  `--profile=${profile}`,
];
const HOST_IP = { name: "HOST_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } };

/**
 * kube2iam's own example (examples/eks-example.yml): its arguments, environment, ports and privileges;
 * image and command are ours.
 */
export function kube2iamDaemonSet(image: string): object {
  return daemonSet("kube2iam", {
    serviceAccountName: "kube2iam",
    hostNetwork: true,
    containers: [
      {
        name: "kube2iam",
        image,
        imagePullPolicy: "Never",
        command: command("kube2iam"),
        args: [
          "--auto-discover-base-arn",
          "--auto-discover-default-role=true",
          "--iptables=true",
          "--host-ip=$(HOST_IP)",
          "--node=$(NODE_NAME)",
          "--host-interface=eni+",
        ],
        env: [
          HOST_IP,
          { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
        ],
        ports: [{ containerPort: 8181, hostPort: 8181, name: "http" }],
        securityContext: { privileged: true },
      },
    ],
  });
}

/** kiam's (deploy/agent.yaml) in the same way. Its Secret and the label of its nodes must be there. */
export function kiamDaemonSet(image: string): object {
  return daemonSet("kiam-agent", {
    hostNetwork: true,
    dnsPolicy: "ClusterFirstWithHostNet",
    nodeSelector: { "kubernetes.io/role": "node" },
    volumes: [
      { name: "ssl-certs", hostPath: { path: "/usr/share/ca-certificates" } },
      { name: "tls", secret: { secretName: "kiam-agent-tls" } },
      { name: "xtables", hostPath: { path: "/run/xtables.lock" } },
    ],
    containers: [
      {
        name: "kiam",
        image,
        imagePullPolicy: "Never",
        command: command("kiam"),
        args: [
          "--iptables",
          "--host-interface=cali+",
          "--json-log",
          "--port=8181",
          "--cert=/etc/kiam/tls/agent.pem",
          "--key=/etc/kiam/tls/agent-key.pem",
          "--ca=/etc/kiam/tls/ca.pem",
          "--server-address=kiam-server:443",
          "--prometheus-listen-addr=0.0.0.0:9620",
          "--prometheus-sync-interval=5s",
        ],
        env: [HOST_IP],
        volumeMounts: [
          { mountPath: "/etc/ssl/certs", name: "ssl-certs" },
          { mountPath: "/etc/kiam/tls", name: "tls" },
          { mountPath: "/var/run/xtables.lock", name: "xtables" },
        ],
        livenessProbe: {
          httpGet: { path: "/ping", port: 8181 },
          initialDelaySeconds: 3,
          periodSeconds: 3,
        },
        securityContext: { privileged: true },
      },
    ],
  });
}

function daemonSet(name: string, spec: object): object {
  const labels = { name };
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name, namespace: "kube-system" },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}

/** The ServiceAccount of kube2iam's example, with its own rights and no others. */
export function kube2iamRights(): readonly object[] {
  const name = "kube2iam";
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: "kube-system" } },
    ...rightsOf(name, [
      { apiGroups: [""], resources: ["namespaces", "pods"], verbs: ["get", "watch", "list"] },
    ]),
  ];
}

/** What docs/migrate-kube2iam-kiam.md says that the shim needs, as kiam's agent had no rights. */
export function kiamRights(): readonly object[] {
  return rightsOf("default", [
    { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] },
    { apiGroups: [""], resources: ["serviceaccounts", "namespaces"], verbs: ["get"] },
    { apiGroups: [""], resources: ["events"], verbs: ["create", "get", "patch"] },
  ]);
}

function rightsOf(serviceAccount: string, rules: readonly object[]): readonly object[] {
  const rbac = "rbac.authorization.k8s.io";
  const metadata = { name: `legacy-${serviceAccount}` };
  const subject = { kind: "ServiceAccount", name: serviceAccount, namespace: "kube-system" };
  return [
    { apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata,
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: metadata.name },
      subjects: [subject],
    },
  ];
}
