/** Where the pod of a review is, and as whom it runs. */
export interface Subject {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/**
 * The AdmissionReview of a usual pod, about 10 KB as JSON: 3 containers, 2 init containers, 6
 * volumes and managedFields, as the API server sends it for a pod of a Deployment.
 */
export function admissionReview({ namespace, serviceAccount }: Subject): object {
  const pod = usualPod({ namespace, serviceAccount });
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      requestKind: { group: "", version: "v1", kind: "Pod" },
      requestResource: { group: "", version: "v1", resource: "pods" },
      namespace,
      operation: "CREATE",
      userInfo: {
        username: "system:serviceaccount:kube-system:replicaset-controller",
        uid: "1cd15b5f-0f5c-4a3c-8a35-8a0b6a6d7c11",
        groups: [
          "system:serviceaccounts",
          "system:serviceaccounts:kube-system",
          "system:authenticated",
        ],
      },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
    },
  };
}

const APP_VOLUMES = ["config", "secrets", "cache", "scratch", "certificates"];

/** The pod of that review, as it is sent to be created. */
export function usualPod({ namespace, serviceAccount }: Subject): {
  readonly metadata: object;
  readonly spec: object;
  readonly [field: string]: unknown;
} {
  const names = ["app", "metrics", "proxy"];
  const initNames = ["migrate", "fetch-assets"];
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      generateName: "checkout-5d9c7b8f6d-",
      namespace,
      creationTimestamp: null,
      labels: {
        "app.kubernetes.io/name": "checkout",
        "app.kubernetes.io/part-of": "shop",
        "pod-template-hash": "5d9c7b8f6d",
      },
      annotations: {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9090",
        "checksum/config": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      },
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "ReplicaSet",
          name: "checkout-5d9c7b8f6d",
          uid: "c9f1a0de-8d3a-4f43-9d5e-5b1f3e0f7a42",
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [
        {
          manager: "kube-controller-manager",
          operation: "Update",
          apiVersion: "v1",
          time: "2026-01-01T00:00:00Z",
          fieldsType: "FieldsV1",
          fieldsV1: managedFieldsOf(names, initNames),
        },
      ],
    },
    spec: {
      volumes: [
        ...APP_VOLUMES.map((name) => ({ name, emptyDir: {} })),
        {
          name: "kube-api-access-7w2xk",
          projected: {
            defaultMode: 420,
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
              {
                configMap: {
                  name: "kube-root-ca.crt",
                  items: [{ key: "ca.crt", path: "ca.crt" }],
                },
              },
            ],
          },
        },
      ],
      initContainers: initNames.map((name) => containerOf(name)),
      containers: names.map((name) => containerOf(name)),
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      serviceAccountName: serviceAccount,
      serviceAccount,
      securityContext: { fsGroup: 1000, runAsNonRoot: true },
      schedulerName: "default-scheduler",
      tolerations: ["not-ready", "unreachable"].map((state) => ({
        key: `node.kubernetes.io/${state}`,
        operator: "Exists",
        effect: "NoExecute",
        tolerationSeconds: 300,
      })),
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: "PreemptLowerPriority",
    },
    status: {},
  };
}

const VARIABLES = ["LOG_LEVEL", "DATABASE_HOST", "QUEUE_URL", "CACHE_TTL", "FEATURES"];

function containerOf(name: string): object {
  return {
    name,
    image: `registry.example.com/shop/${name}:v2.14.3`,
    command: [`/usr/local/bin/${name}`, "--config=/etc/shop/config.yaml"],
    ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
    env: VARIABLES.map((variable) => ({ name: variable, value: `value of ${variable}` })),
    resources: {
      limits: { cpu: "500m", memory: "256Mi" },
      requests: { cpu: "100m", memory: "128Mi" },
    },
    volumeMounts: [
      ...APP_VOLUMES.map((volume) => ({ name: volume, mountPath: `/var/lib/shop/${volume}` })),
      {
        name: "kube-api-access-7w2xk",
        readOnly: true,
        mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
      },
    ],
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: "IfNotPresent",
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
  };
}

function managedFieldsOf(names: readonly string[], initNames: readonly string[]): object {
  return {
    "f:metadata": { "f:generateName": {}, "f:labels": { ".": {} }, "f:ownerReferences": {} },
    "f:spec": {
      "f:containers": Object.fromEntries(names.map(fieldsOf)),
      "f:initContainers": Object.fromEntries(initNames.map(fieldsOf)),
      "f:serviceAccountName": {},
    },
  };
}

function fieldsOf(name: string): readonly [string, object] {
  return [
    `k:{"name":"${name}"}`,
    {
      ".": {},
      "f:command": {},
      "f:env": Object.fromEntries(
        VARIABLES.map((variable) => [`k:{"name":"${variable}"}`, { ".": {}, "f:value": {} }]),
      ),
      "f:image": {},
      "f:imagePullPolicy": {},
      "f:name": {},
    },
  ];
}
