import { randomUUID } from "node:crypto";
import type { CallLog } from "./call-log.ts";
import type { FaultPlan } from "./faults.ts";
import { authenticate } from "./protocol/authenticate.ts";
import { AwsError } from "./protocol/aws-error.ts";
import type { CallFacts, Caller, QueryActions, QueryCall } from "./protocol/query-action.ts";
import type { QueryParameters } from "./protocol/query-parameters.ts";
import type { WireRequest } from "./protocol/sigv4.ts";
import { renderXml, type XmlFields } from "./protocol/xml.ts";
import type { Reply } from "./reply.ts";
import type { Store } from "./store.ts";

/** What every service of the stand-in shares. */
export interface ServiceDeps {
  readonly store: Store;
  readonly faults: FaultPlan;
  readonly calls: CallLog;
  /** Milliseconds since the epoch by the stand-in's clock. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** Told of bugs; callers get a bare InternalFailure. */
  readonly onError: (err: unknown) => void;
}

/** A service of the Query protocol. */
export interface QueryService {
  readonly name: "sts" | "iam";
  readonly version: string;
  readonly actions: QueryActions;
}

/** Answers a call of the Query protocol and logs it. */
export async function answerQuery(
  service: QueryService,
  call: { readonly request: WireRequest; readonly parameters: QueryParameters },
  deps: ServiceDeps,
): Promise<Reply> {
  const action = call.parameters.get("Action") ?? "";
  const xmlns = `https://${service.name}.amazonaws.com/doc/${service.version}/`;
  const requestId = randomUUID();
  const facts: CallFacts = {};
  const log = (status: number, code: string, detail?: string): void => {
    deps.calls.add({
      time: new Date(deps.now()).toISOString(),
      service: service.name,
      action: action.slice(0, 128),
      accountId: facts.accountId,
      principal: facts.principal,
      role: facts.role,
      webIdentity: facts.webIdentity,
      issuedKeyId: facts.issuedKeyId,
      status,
      code,
      detail,
    });
  };
  const { latencyMs, failure } = deps.faults.next(service.name, action);
  if (latencyMs > 0) await deps.sleep(latencyMs);
  if (failure === "drop") {
    log(0, "ConnectionDropped", "fault injected");
    return "drop";
  }
  try {
    if (failure !== undefined) throw failure;
    const result = await run(service, { ...call, facts, action }, deps);
    log(200, "OK");
    const metadata = { ResponseMetadata: { RequestId: requestId } };
    const fields = result === undefined ? metadata : { [`${action}Result`]: result, ...metadata };
    return xmlReply(200, requestId, renderXml(`${action}Response`, xmlns, fields));
  } catch (err) {
    const error = asAwsError(err, deps);
    log(error.status, error.code, error.detail ?? error.message);
    return xmlReply(error.status, requestId, errorXml(error, { xmlns, requestId }));
  }
}

async function run(
  service: QueryService,
  call: {
    readonly request: WireRequest;
    readonly parameters: QueryParameters;
    readonly facts: CallFacts;
    readonly action: string;
  },
  { store, now }: ServiceDeps,
): Promise<XmlFields | undefined> {
  const { request, parameters, facts } = call;
  const action = Object.hasOwn(service.actions, call.action)
    ? service.actions[call.action]
    : undefined;
  if (action === undefined) {
    const message = `Could not find operation ${call.action} for version ${service.version}`;
    throw new AwsError("InvalidAction", 400, message);
  }
  const nowMs = now();
  const queryCall: QueryCall = { parameters, headers: request.headers, nowMs, facts };
  if (action.access === "unsigned") return action.run(queryCall);
  const { credentials } = store;
  const principal = authenticate(request, { service: service.name, credentials, nowMs });
  facts.principal = principal.arn;
  facts.accountId = principal.accountId;
  const account = store.accounts.get(principal.accountId);
  if (account === undefined) throw new Error(`No account ${principal.accountId} in the store`);
  const caller: Caller = { principal, account };
  if (action.access === "administrator" && principal.kind !== "administrator") {
    const message = `User: ${principal.arn} is not authorized to perform: ${service.name}:${call.action} because no identity-based policy allows the ${service.name}:${call.action} action`;
    throw new AwsError("AccessDenied", 403, message);
  }
  return action.run(queryCall, caller);
}

/** What a caller is told of an error: a bug shows nothing of itself. */
export function asAwsError(err: unknown, { onError }: Pick<ServiceDeps, "onError">): AwsError {
  if (err instanceof AwsError) return err;
  onError(err);
  const message = "The request processing has failed because of an unknown error";
  return new AwsError("InternalFailure", 500, message, { cause: err });
}

function errorXml(
  error: AwsError,
  { xmlns, requestId }: { readonly xmlns: string; readonly requestId: string },
): string {
  return renderXml("ErrorResponse", xmlns, {
    Error: {
      Type: error.status < 500 ? "Sender" : "Receiver",
      Code: error.code,
      Message: error.message,
    },
    RequestId: requestId,
  });
}

function xmlReply(status: number, requestId: string, body: string): Reply {
  return {
    status,
    headers: {
      "content-type": "text/xml",
      "x-amzn-requestid": requestId,
      ...(status < 400 ? {} : { connection: "close" }),
    },
    body,
  };
}
