import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { createLegacyMetrics, type LegacyMetrics } from "./legacy-metrics.ts";

const FACTS = { version: "1.2.3", cacheSize: () => 7 };
const ROLE = "arn:aws:iam::111122223333:role/reader";

function use(metrics: LegacyMetrics): void {
  const answer = { method: "GET", seconds: 0.003 } as const;
  metrics.onAnswer({ ...answer, asked: "list", status: 200 });
  metrics.onAnswer({ ...answer, asked: "credentials", status: 200 });
  metrics.onAnswer({ ...answer, asked: "credentials", status: 503, problem: "other" });
  metrics.onAnswer({ ...answer, asked: "list", status: 404, problem: "no-role" });
  metrics.onAnswer({ ...answer, asked: "list", status: 404, problem: "caller-unknown" });
  metrics.onAnswer({ ...answer, asked: "list", status: 404, problem: "caller-ambiguous" });
  metrics.onAnswer({ ...answer, asked: "other", status: 404 });
  metrics.onAnswer({ ...answer, asked: "health", status: 200 });
  metrics.onExchange({ roleArn: ROLE, seconds: 0.1 });
  metrics.onExchange({ roleArn: ROLE, seconds: 0.1, errorCode: "AccessDenied" });
  metrics.onLookUp(ROLE, false);
  metrics.onLookUp(ROLE, true);
}

/** The samples as they are written, without buckets and times. */
async function samplesOf(registry: Registry): Promise<readonly string[]> {
  const lines = (await registry.metrics()).split("\n");
  return lines.filter((line) => /^[^#]/.test(line) && !/_bucket|_sum/.test(line)).toSorted();
}

describe("createLegacyMetrics", () => {
  it("has none in the strict profile", async () => {
    const registry = new Registry();
    assert.equal(createLegacyMetrics(registry, "strict", FACTS), undefined);
    assert.deepEqual(await samplesOf(registry), []);
  });

  it("tells what kube2iam tells", async () => {
    const registry = new Registry();
    use(createLegacyMetrics(registry, "kube2iam", FACTS) ?? assert.fail());
    const http = "kube2iam_http_request_duration_seconds_count";
    assert.deepEqual(await samplesOf(registry), [
      "kube2iam_healthcheck_status 1",
      `${http}{code="200",method="GET",handler="healthHandler"} 1`,
      `${http}{code="200",method="GET",handler="roleHandler"} 1`,
      `${http}{code="200",method="GET",handler="securityCredentialsHandler"} 1`,
      `${http}{code="404",method="GET",handler="reverseProxyHandler"} 1`,
      `${http}{code="404",method="GET",handler="securityCredentialsHandler"} 3`,
      `${http}{code="503",method="GET",handler="roleHandler"} 1`,
      `kube2iam_iam_cache_hits_total{role_arn="${ROLE}"} 1`,
      "kube2iam_iam_k8s_dup_req_count 1",
      "kube2iam_iam_k8s_dup_req_success_count 0",
      "kube2iam_iam_k8s_pod_not_in_pod_cache 1",
      `kube2iam_iam_request_duration_seconds_count{code="AccessDenied",role_arn="${ROLE}"} 1`,
      `kube2iam_iam_request_duration_seconds_count{code="Success",role_arn="${ROLE}"} 1`,
      'kube2iam_info{version="1.2.3",build_date="",commit_hash=""} 1',
    ]);
  });

  it("tells what kiam tells", async () => {
    const registry = new Registry();
    use(createLegacyMetrics(registry, "kiam", FACTS) ?? assert.fail());
    assert.deepEqual(await samplesOf(registry), [
      "kiam_k8s_dropped_pods_total 0",
      'kiam_metadata_credential_fetch_errors_total{handler="credentials"} 1',
      'kiam_metadata_empty_role_total{handler="roleName"} 1',
      'kiam_metadata_find_role_errors_total{handler="roleName"} 2',
      'kiam_metadata_handler_latency_seconds_count{handler="credentials"} 2',
      'kiam_metadata_handler_latency_seconds_count{handler="health"} 1',
      'kiam_metadata_handler_latency_seconds_count{handler="roleName"} 4',
      "kiam_metadata_proxy_requests_blocked_total 1",
      'kiam_metadata_responses_total{handler="credentials",code="200"} 1',
      'kiam_metadata_responses_total{handler="credentials",code="503"} 1',
      'kiam_metadata_responses_total{handler="health",code="200"} 1',
      'kiam_metadata_responses_total{handler="roleName",code="200"} 1',
      'kiam_metadata_responses_total{handler="roleName",code="404"} 3',
      'kiam_metadata_success_total{handler="credentials"} 1',
      'kiam_metadata_success_total{handler="health"} 1',
      'kiam_metadata_success_total{handler="roleName"} 1',
      "kiam_sts_assumerole_timing_seconds_count 2",
      "kiam_sts_cacheSize 7",
      "kiam_sts_cache_hit_total 1",
      "kiam_sts_cache_miss_total 1",
      "kiam_sts_issuing_errors_total 1",
    ]);
  });

  it("has no more series than for a thousand roles, whatever pods ask for", async () => {
    const registry = new Registry();
    const metrics = createLegacyMetrics(registry, "kube2iam", FACTS) ?? assert.fail();
    for (let i = 0; i < 1010; i += 1) {
      metrics.onExchange({ roleArn: `${ROLE}${i}`, seconds: 0.1, errorCode: "AccessDenied" });
    }
    metrics.onExchange({ roleArn: `${ROLE}0`, seconds: 0.1, errorCode: "AccessDenied" });
    const counts = (await samplesOf(registry)).filter((line) => line.includes("AccessDenied"));
    assert.equal(counts.length, 1001);
    assert.deepEqual(
      counts.filter((line) => !line.endsWith(" 1")).map((line) => line.replace(/^[^{]*/, "")),
      [`{code="AccessDenied",role_arn="${ROLE}0"} 2`, '{code="AccessDenied",role_arn="other"} 10'],
    );
  });
});
