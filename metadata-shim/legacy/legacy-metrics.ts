import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Profile } from "../role/profile.ts";

/** One answer to a pod. */
export interface AnswerFacts {
  readonly asked: "list" | "credentials" | "health" | "other";
  readonly method: string;
  readonly status: number;
  /** Why it was no good one, where the pod or its role was the reason. */
  readonly problem?: "caller-unknown" | "caller-ambiguous" | "no-role" | "other" | undefined;
  readonly seconds: number;
}

/** One call of STS. */
export interface ExchangeFacts {
  readonly roleArn: string;
  /** Undefined when it gave credentials, else AWS's code of the error. */
  readonly errorCode?: string | undefined;
  readonly seconds: number;
}

/** What happens, told in the metrics of the program that ran here before. */
export interface LegacyMetrics {
  onAnswer(facts: AnswerFacts): void;
  onExchange(facts: ExchangeFacts): void;
  /** Credentials that were asked for and there already, or not. */
  onLookUp(roleArn: string, isHit: boolean): void;
}

/** Both programs: 1 ms, doubled up to some seconds. */
const buckets = (count: number): number[] => Array.from({ length: count }, (_, i) => 2 ** i / 1000);

/**
 * Makes the instruments under the names that kube2iam's or kiam's dashboards ask for; those that have
 * no meaning here any more stay at zero. Undefined in the strict profile.
 *
 * @param facts.version What is told as kube2iam's.
 * @param facts.cacheSize Credentials that are kept now.
 */
export function createLegacyMetrics(
  registry: Registry,
  profile: Profile,
  facts: { readonly version: string; readonly cacheSize: () => number },
): LegacyMetrics | undefined {
  if (profile === "strict") return undefined;
  return profile === "kube2iam"
    ? createKube2iamMetrics(registry, facts.version)
    : createKiamMetrics(registry, facts.cacheSize);
}

/** Whoever makes pods names roles, and each that is told is kept for ever. */
const MAX_ROLES = 1000;

/** Makes the function that gives the label of a role; those beyond the bound have one together. */
function createRoleLabels(): (roleArn: string) => string {
  const told = new Set<string>();
  return (roleArn) => {
    if (told.size < MAX_ROLES) told.add(roleArn);
    return told.has(roleArn) ? roleArn : "other";
  };
}

function createKube2iamMetrics(registry: Registry, version: string): LegacyMetrics {
  const registers = [registry];
  const counter = (name: string, help: string) =>
    new Counter({ name: `kube2iam_iam_${name}`, help, registers });
  const requests = new Histogram({
    name: "kube2iam_iam_request_duration_seconds",
    help: "Time of calls of STS, by code and role",
    labelNames: ["code", "role_arn"],
    buckets: buckets(14),
    registers,
  });
  const hits = new Counter({
    name: "kube2iam_iam_cache_hits_total",
    help: "Credentials that were there already, by role",
    labelNames: ["role_arn"],
    registers,
  });
  const unknown = counter("k8s_pod_not_in_pod_cache", "Addresses that no known pod has");
  const duplicates = counter("k8s_dup_req_count", "Addresses that two pods have");
  counter("k8s_dup_req_success_count", "Of these, how many were given to one of them: none");
  const answers = new Histogram({
    name: "kube2iam_http_request_duration_seconds",
    help: "Time of answers, by status, method and handler",
    labelNames: ["code", "method", "handler"],
    buckets: buckets(14),
    registers,
  });
  const health = new Gauge({
    name: "kube2iam_healthcheck_status",
    help: "Whether the agent is healthy",
    registers,
  });
  health.set(1);
  const build = new Gauge({
    name: "kube2iam_info",
    help: "What runs here",
    labelNames: ["version", "build_date", "commit_hash"],
    registers,
  });
  build.set({ version, build_date: "", commit_hash: "" }, 1);
  const handlers = {
    list: "securityCredentialsHandler",
    credentials: "roleHandler",
    health: "healthHandler",
    other: "reverseProxyHandler",
  } as const;
  const labelOf = createRoleLabels();
  return {
    onAnswer({ asked, method, status, problem, seconds }) {
      answers.observe({ code: String(status), method, handler: handlers[asked] }, seconds);
      if (problem === "caller-unknown") unknown.inc();
      if (problem === "caller-ambiguous") duplicates.inc();
    },
    onExchange({ roleArn, errorCode = "Success", seconds }) {
      requests.observe({ code: errorCode, role_arn: labelOf(roleArn) }, seconds);
    },
    onLookUp(roleArn, isHit) {
      if (isHit) hits.inc({ role_arn: labelOf(roleArn) });
    },
  };
}

function createKiamMetrics(registry: Registry, cacheSize: () => number): LegacyMetrics {
  const registers = [registry];
  const byHandler = (name: string, help: string) =>
    new Counter({ name: `kiam_metadata_${name}`, help, labelNames: ["handler"], registers });
  const plain = (name: string, help: string) =>
    new Counter({ name: `kiam_${name}`, help, registers });
  const latency = new Histogram({
    name: "kiam_metadata_handler_latency_seconds",
    help: "Time of answers, by handler",
    labelNames: ["handler"],
    buckets: buckets(13),
    registers,
  });
  const responses = new Counter({
    name: "kiam_metadata_responses_total",
    help: "Answers, by handler and status",
    labelNames: ["handler", "code"],
    registers,
  });
  const fetchErrors = byHandler("credential_fetch_errors_total", "Credentials that were not got");
  byHandler("credential_encode_errors_total", "Credentials that could not be written: none");
  const roleErrors = byHandler("find_role_errors_total", "Roles that were not found");
  const empty = byHandler("empty_role_total", "Pods without a role");
  const success = byHandler("success_total", "Good answers");
  const blocked = plain("metadata_proxy_requests_blocked_total", "Requests for what is not served");
  const size: Gauge = new Gauge({
    name: "kiam_sts_cacheSize",
    help: "Credentials that are kept",
    registers,
    collect: () => size.set(cacheSize()),
  });
  const hits = plain("sts_cache_hit_total", "Credentials that were there already");
  const misses = plain("sts_cache_miss_total", "Credentials that were not there");
  const issuing = plain("sts_issuing_errors_total", "Calls of STS that failed");
  const timing = new Histogram({
    name: "kiam_sts_assumerole_timing_seconds",
    help: "Time of calls of STS",
    buckets: buckets(13),
    registers,
  });
  plain("k8s_dropped_pods_total", "Changes of pods that were lost: none");
  const handlers = { list: "roleName", credentials: "credentials", health: "health" } as const;
  return {
    onAnswer({ asked, status, problem, seconds }) {
      if (asked === "other") {
        if (status === 404) blocked.inc();
        return;
      }
      const handler = handlers[asked];
      latency.observe({ handler }, seconds);
      responses.inc({ handler, code: String(status) });
      if (status === 200) success.inc({ handler });
      else if (problem === "no-role") empty.inc({ handler });
      else if (asked === "credentials") fetchErrors.inc({ handler });
      else if (asked === "list") roleErrors.inc({ handler });
    },
    onExchange({ errorCode, seconds }) {
      timing.observe(seconds);
      if (errorCode !== undefined) issuing.inc();
    },
    onLookUp(_roleArn, isHit) {
      (isHit ? hits : misses).inc();
    },
  };
}
