import assert from "node:assert/strict";
import { z } from "zod";
import type { KubeAnswer, KubeConnection } from "../../../lib/kube/connection.ts";

export const ROLE_KEY = "eks.amazonaws.com/role-arn";
const LABEL = "irsa-anywhere.io/injection";
export const TIMEOUT_MS = 30_000;

const Env = z.looseObject({ name: z.string(), value: z.string().optional() });
const Container = z.looseObject({ env: z.array(Env).optional() });
const Answer = z.looseObject({
  message: z.string().optional(),
  spec: z.looseObject({ containers: z.array(Container) }).optional(),
});

/** What came of a pod that the API server was asked to create. */
export interface Created {
  readonly status: number;
  readonly roleArn: string | undefined;
  readonly warning: string;
  /** What the API server says when it refuses. */
  readonly message: string;
}

/** Changes a cluster through one of its API servers. */
export class ClusterChanges {
  readonly #kube: Pick<KubeConnection, "request">;

  constructor(kube: Pick<KubeConnection, "request">) {
    this.#kube = kube;
  }

  async addNamespace(name: string, label: string): Promise<void> {
    await this.post("/api/v1/namespaces", { metadata: { name, labels: { [LABEL]: label } } });
  }

  async addAccount(namespace: string, name: string, role?: string): Promise<void> {
    const annotations = role === undefined ? {} : { [ROLE_KEY]: role };
    await this.post(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
      metadata: { name, annotations },
    });
  }

  async deleteAccount(namespace: string, name: string): Promise<void> {
    await this.#kube.request({
      method: "DELETE",
      path: accountPath(namespace, name),
      timeoutMs: TIMEOUT_MS,
    });
  }

  /** Has a pod created, up to the point where it would be stored. */
  async createPod(namespace: string, serviceAccountName: string): Promise<Created> {
    const spec = { serviceAccountName, containers: [{ name: "app", image: "i" }] };
    const answer = await this.#kube.request({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/pods?dryRun=All`,
      body: { metadata: { name: "pod" }, spec },
      timeoutMs: TIMEOUT_MS,
    });
    const { message = "", spec: stored } = Answer.parse(answer.body);
    const env = stored?.containers[0]?.env ?? [];
    return {
      status: answer.status,
      roleArn: env.find(({ name }) => name === "AWS_ROLE_ARN")?.value,
      warning: answer.headers["warning"] ?? "",
      message,
    };
  }

  async patch(path: string, annotations: object): Promise<void> {
    const contentType = "application/merge-patch+json";
    const body = { metadata: { annotations } };
    const request = { method: "PATCH", path, contentType, body, timeoutMs: TIMEOUT_MS };
    const answer = await this.#kube.request(request);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  }

  async post(path: string, body: object): Promise<KubeAnswer> {
    const answer = await this.#kube.request({ method: "POST", path, body, timeoutMs: TIMEOUT_MS });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer;
  }
}

export function accountPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
}
