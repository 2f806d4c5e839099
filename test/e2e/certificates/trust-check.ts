import assert from "node:assert/strict";
import { distrusting } from "../../../webhook/certificates/ca-bundle-patch.ts";
import { askReplica } from "./ask-replica.ts";
import type { WebhookReplicas } from "./webhook-replicas.ts";

/** How far an API server or a replica may be behind; less than the overlap of the CAs. */
const LAG_MS = { min: 1000, max: 2000 };

/**
 * Checks that each replica is trusted by the bundle as it is, and as an API server would have it that
 * is a second behind; and that a replica which is a second behind would be trusted as well.
 */
export function createTrustCheck(replicas: WebhookReplicas): { check(): Promise<void> } {
  const seen: { readonly atMs: number; readonly serving: string; readonly bundle: string }[] = [];
  let checked = 0;
  return {
    async check() {
      const { serving } = await replicas.storedState();
      seen.push({
        atMs: performance.now(),
        serving: serving.cert,
        bundle: await replicas.storedBundle(),
      });
      const nowMs = performance.now();
      const late = seen.findLast(({ atMs }) => nowMs - atMs >= LAG_MS.min);
      if (late !== undefined && nowMs - late.atMs < LAG_MS.max) {
        const caBundle = Buffer.from(seen.at(-1)?.bundle ?? "").toString("base64");
        const webhooks = [{ name: "pods", clientConfig: { caBundle } }];
        const distrust = distrusting({ metadata: { name: "now" }, webhooks }, late.serving);
        assert.deepEqual(distrust, [], "what was served a second ago is not trusted any more");
      }
      for (const { atMs, bundle } of [late, seen.at(-1)].filter((entry) => entry !== undefined)) {
        for (const { name, port } of replicas.running.values()) {
          try {
            await askReplica(port, bundle);
            checked += 1;
          } catch (err) {
            const ageMs = performance.now() - atMs;
            // Beyond that this process was too slow to be a judge.
            if (ageMs > LAG_MS.max) continue;
            assert.fail(`${name} after ${checked} checks, ${Math.round(ageMs)} ms: ${String(err)}`);
          }
        }
      }
    },
  };
}
