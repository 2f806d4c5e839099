import { createPublicKey, randomUUID, timingSafeEqual, type KeyObject } from "node:crypto";
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type Response,
} from "express";
import { z } from "zod";
import { reasonOf } from "../../../lib/errors.ts";
import { admit } from "./admission.ts";
import { Collection, KubeObject, type Stored } from "./objects.ts";
import {
  kubernetesKeyIdOf,
  signServiceAccountToken,
  TokenRequest,
} from "./service-account-token.ts";
import { StatusError } from "./status-error.ts";

const JWK_SET_TYPE = "application/jwk-set+json";

/** Who the stand-in is: what it signs as, and the one bearer token that may call it. */
export interface ApiIdentity {
  readonly issuer: string;
  readonly signingKey: KeyObject;
  readonly bearerToken: string;
}

/**
 * The few calls of the Kubernetes API that the demo needs, with the shapes of the real one:
 * namespaces and ServiceAccounts (list, watch, TokenRequest), pods through admission, and the JWKS.
 */
export function createApi({ issuer, signingKey, bearerToken }: ApiIdentity): Express {
  let version = 0;
  const nextVersion = (): string => String(++version);
  const namespaces = new Collection(nextVersion);
  const serviceAccounts = new Collection(nextVersion);
  const pods = new Collection(nextVersion);
  const webhookConfigurations = new Collection(nextVersion);

  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.use((req, _res, next) => {
    if (!isSame(req.headers.authorization ?? "", `Bearer ${bearerToken}`)) {
      throw new StatusError(401, "Unauthorized", "Unauthorized");
    }
    next();
  });
  app.use(express.json({ limit: "3mb" }));

  app.get("/openid/v1/jwks", (req, res) => {
    // kube-apiserver refuses who accepts JSON only.
    if (req.accepts(JWK_SET_TYPE) === false) {
      throw new StatusError(406, "NotAcceptable", `only ${JWK_SET_TYPE} is accepted`);
    }
    res.type(JWK_SET_TYPE).send(JSON.stringify({ keys: [publicJwkOf(signingKey)] }));
  });

  app.post("/api/v1/namespaces", (req, res) => {
    res.status(201).json(namespaces.put("", KubeObject.parse(req.body)));
  });
  app.post("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", (req, res) => {
    res.status(201).json(webhookConfigurations.put("", KubeObject.parse(req.body)));
  });

  for (const [plural, collection] of [
    ["serviceaccounts", serviceAccounts],
    ["namespaces", namespaces],
  ] as const) {
    app.get(`/api/v1/${plural}`, (req, res) => {
      if (z.stringbool().default(false).parse(req.query["watch"])) {
        streamChanges(collection, res);
      } else {
        const metadata = { resourceVersion: String(version) };
        res.json({ apiVersion: "v1", kind: "List", metadata, items: collection.list() });
      }
    });
  }
  app.get("/api/v1/namespaces/:name", (req, res) => {
    res.json(found(namespaces, "", req.params.name, "namespaces"));
  });
  app.get("/api/v1/namespaces/:namespace/serviceaccounts/:name", (req, res) => {
    res.json(found(serviceAccounts, req.params.namespace, req.params.name, "serviceaccounts"));
  });
  app.post("/api/v1/namespaces/:namespace/serviceaccounts", (req, res) => {
    const object = KubeObject.parse(req.body);
    res.status(201).json(serviceAccounts.put(req.params.namespace, object));
  });

  app.post("/api/v1/namespaces/:namespace/serviceaccounts/:name/token", async (req, res) => {
    const { namespace, name } = req.params;
    const serviceAccount = found(serviceAccounts, namespace, name, "serviceaccounts");
    const request = TokenRequest.parse(req.body);
    const reference = request.spec.boundObjectRef ?? undefined;
    const pod = reference && found(pods, namespace, reference.name, "pods");
    if (pod !== undefined && pod.metadata.uid !== reference?.uid) {
      throw new StatusError(409, "Conflict", `the pod "${pod.metadata.name}" has another uid`);
    }
    const subject = {
      namespace,
      serviceAccount: named(serviceAccount),
      ...(pod && { pod: named(pod) }),
    };
    const signer = { issuer, privateKey: signingKey, nowMs: Date.now() };
    const status = await signServiceAccountToken(request, subject, signer);
    res.status(201).json({ ...request, status });
  });

  app.post("/api/v1/namespaces/:namespace/pods", async (req, res) => {
    const { namespace } = req.params;
    const owner = found(namespaces, "", namespace, "namespaces");
    const admitted = await admit(KubeObject.parse(req.body), owner, webhookConfigurations.list());
    const isDryRun = req.query["dryRun"] === "All";
    res.status(201).json(isDryRun ? withIdentity(admitted) : pods.put(namespace, admitted));
  });

  app.use((req: Request) => {
    throw new StatusError(404, "NotFound", `the demo's API has no ${req.method} ${req.path}`);
  });
  app.use(answerWithStatus);
  return app;
}

/** A dry run answers what would be stored, which includes a uid. */
function withIdentity(object: KubeObject): KubeObject {
  return { ...object, metadata: { ...object.metadata, uid: randomUUID() } };
}

function found(collection: Collection, namespace: string, name: string, kind: string): Stored {
  const object = collection.get(namespace, name);
  if (object === undefined) throw new StatusError(404, "NotFound", `${kind} "${name}" not found`);
  return object;
}

function named({ metadata: { name, uid } }: Stored): { name: string; uid: string } {
  return { name, uid };
}

function streamChanges(collection: Collection, res: Response): void {
  res.type("json").flushHeaders();
  const stop = collection.watch((change) => res.write(`${JSON.stringify(change)}\n`));
  res.on("close", stop);
}

function publicJwkOf(privateKey: KeyObject): object {
  const { kty, n, e } = createPublicKey(privateKey).export({ format: "jwk" });
  return { use: "sig", kty, kid: kubernetesKeyIdOf(privateKey), alg: "RS256", n, e };
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

const answerWithStatus: ErrorRequestHandler = (err: unknown, _req, res, next) => {
  if (res.headersSent) {
    next(err);
    return;
  }
  const known = err instanceof StatusError ? err : undefined;
  const { code, reason } = known ?? { code: 400, reason: "BadRequest" };
  const status = { apiVersion: "v1", kind: "Status", status: "Failure" };
  res.status(code).json({ ...status, message: reasonOf(err), reason, code });
};
