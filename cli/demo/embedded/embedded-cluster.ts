import { generateKeyPair, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { listen } from "../../../lib/http.ts";
import type { Cluster } from "../cluster.ts";
import type { Stage } from "../stage.ts";
import { createApi } from "./api.ts";

/**
 * Starts the embedded stand-in of a Kubernetes API server on loopback and writes a kubeconfig for
 * it into the stage's folder. It has a key of its own and signs tokens as `issuer`.
 */
export async function startEmbeddedCluster(
  { folder, keyPair, caPem }: Stage,
  issuer: string,
): Promise<Cluster> {
  const { privateKey: signingKey } = await promisify(generateKeyPair)("rsa", {
    modulusLength: 2048,
  });
  const bearerToken = randomBytes(24).toString("base64url");
  const server = await listen(createApi({ issuer, signingKey, bearerToken }), {
    host: "127.0.0.1",
    port: 0,
    drainMs: 0,
    keyPair,
  });
  const url = `https://127.0.0.1:${server.port}`;
  const kubeconfig = join(folder, "kubeconfig");
  await writeFile(kubeconfig, kubeconfigOf(url, caPem, bearerToken), { mode: 0o600 });
  return {
    name: "embedded stand-in of a Kubernetes API server",
    apiServers: [url],
    kubeconfig,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function kubeconfigOf(server: string, caPem: string, token: string): string {
  const name = "demo";
  const ca = Buffer.from(caPem).toString("base64");
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, "certificate-authority-data": ca } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  });
}
