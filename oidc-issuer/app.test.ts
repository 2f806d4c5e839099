import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { Registry } from "prom-client";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { listen, type RunningServer } from "../lib/http.ts";
import { createApp } from "./app.ts";
import { renderDocuments, type Documents } from "./documents.ts";
import { parseIssuer } from "./issuer-url.ts";
import { createMetrics } from "./metrics.ts";

const issuer = parseIssuer("https://oidc.example.com/prod");
const documents = renderDocuments(issuer.url, [
  { use: "sig", kty: "EC", kid: "k", alg: "ES256", crv: "P-256", x: "x", y: "y" },
]);
const DISCOVERY = "/prod/.well-known/openid-configuration";
const JWKS = "/prod/openid/v1/jwks";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const { log, lines } = createCollectedLog();
const registry = new Registry();
let current: Documents | undefined = documents;
let failure: Error | undefined;
let server: RunningServer;

before(async () => {
  const app = createApp({
    issuer,
    allowedHosts: ["issuer.internal", "[::1]"],
    cacheTimes: {
      discoveryMaxAgeSeconds: 3600,
      jwksMaxAgeSeconds: 300,
      jwksStaleIfErrorSeconds: 86_400,
    },
    documents() {
      if (failure !== undefined) throw failure;
      return current;
    },
    metrics: createMetrics(registry, () => 0),
    log,
    nowMs: () => 0,
  });
  server = await listen(app, { port: 0, host: "127.0.0.1", drainMs: 100 });
});
after(() => server[Symbol.asyncDispose]());

async function ask(
  path: string,
  { method = "GET", headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const sent = request({
    host: "127.0.0.1",
    port: server.port,
    path,
    method,
    headers: { host: "oidc.example.com", connection: "close", ...headers },
  }).end();
  const [response] = await once(sent, "response");
  let body = "";
  for await (const chunk of response) body += chunk;
  const { date: _date, connection: _connection, ...rest } = response.headers;
  return { status: response.statusCode, headers: rest, body };
}

const common = { "x-content-type-options": "nosniff", "access-control-allow-origin": "*" };
const discoveryHeaders = {
  ...common,
  "content-type": "application/json",
  "content-length": String(documents.discovery.body.length),
  "cache-control": "public, max-age=3600",
  etag: documents.discovery.etag,
};
const jwksHeaders = {
  ...common,
  "content-type": "application/jwk-set+json",
  "content-length": String(documents.jwks.body.length),
  "cache-control": "public, max-age=300, stale-if-error=86400",
  etag: documents.jwks.etag,
};
const refusal = (code: string, message: string) => {
  const body = JSON.stringify({ code, message });
  return {
    body,
    headers: {
      "x-content-type-options": "nosniff",
      "content-type": "application/json",
      "content-length": String(body.length),
      "cache-control": "no-store",
    },
  };
};

describe("the documents", () => {
  it("are served with all of their headers and no others", async () => {
    assert.deepEqual(await ask(DISCOVERY), {
      status: 200,
      headers: discoveryHeaders,
      body: documents.discovery.body.toString(),
    });
    assert.deepEqual(await ask(JWKS), {
      status: 200,
      headers: jwksHeaders,
      body: documents.jwks.body.toString(),
    });
  });

  it("have the same headers for HEAD, and no body", async () => {
    assert.deepEqual(await ask(JWKS, { method: "HEAD" }), {
      status: 200,
      headers: jwksHeaders,
      body: "",
    });
  });

  it("are sent although a query follows the path", async () => {
    assert.deepEqual(await ask(`${JWKS}?v=1&x=/..`), await ask(JWKS));
  });

  it("are sent as they are, whatever encodings a client takes", async () => {
    const answer = await ask(JWKS, { headers: { "accept-encoding": "gzip, br" } });
    assert.deepEqual(answer, await ask(JWKS));
  });

  it("follow the state", async () => {
    current = renderDocuments(issuer.url, [
      { use: "sig", kty: "EC", kid: "l", alg: "ES384", crv: "P-384", x: "x", y: "y" },
    ]);
    const { headers, body } = await ask(JWKS, {
      headers: { "if-none-match": documents.jwks.etag },
    });
    current = documents;
    assert.match(body, /"kid":"l"/);
    assert.notEqual(headers.etag, documents.jwks.etag);
  });

  it("are 503 and nothing to keep while there is no key", async () => {
    current = undefined;
    const answers = [await ask(JWKS), await ask(DISCOVERY, { method: "HEAD" })];
    current = documents;
    const { body, headers } = refusal("NOT_READY", "No key is known yet");
    const expected = { ...headers, "access-control-allow-origin": "*", "retry-after": "5" };
    assert.deepEqual(answers, [
      { status: 503, headers: expected, body },
      { status: 503, headers: expected, body: "" },
    ]);
  });
});

describe("If-None-Match", () => {
  const { etag } = documents.jwks;
  const { "content-length": _length, "content-type": _type, ...notModified } = jwksHeaders;

  for (const [name, value] of [
    ["the ETag", etag],
    ["the ETag as a weak one", `W/${etag}`],
    ["a list with the ETag", `"other", W/"another",${etag}`],
    ["a star", "*"],
  ] as const) {
    it(`answers 304 to ${name}`, async () => {
      const expected = { status: 304, headers: notModified, body: "" };
      assert.deepEqual(await ask(JWKS, { headers: { "if-none-match": value } }), expected);
      const head = await ask(JWKS, { method: "HEAD", headers: { "if-none-match": value } });
      assert.deepEqual(head, expected);
    });
  }

  for (const [name, value] of [
    ["another ETag", '"other"'],
    ["the other document's ETag", documents.discovery.etag],
    ["the ETag without its quotes", etag.slice(1, -1)],
    ["nothing", ""],
  ] as const) {
    it(`sends the document to ${name}`, async () => {
      const { status } = await ask(JWKS, { headers: { "if-none-match": value } });
      assert.equal(status, 200);
    });
  }
});

describe("another method", () => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
    it(`${method} is refused with what is allowed`, async () => {
      const { body, headers } = refusal("METHOD_NOT_ALLOWED", "Only GET and HEAD are allowed");
      assert.deepEqual(await ask(JWKS, { method }), {
        status: 405,
        headers: { ...headers, "access-control-allow-origin": "*", allow: "GET, HEAD" },
        body,
      });
    });
  }
});

describe("another path", () => {
  for (const path of [
    "/",
    "/prod",
    "/prod/",
    "/.well-known/openid-configuration",
    "/openid/v1/jwks",
    `${JWKS}/`,
    `${DISCOVERY}/`,
    `/${JWKS}`,
    "/prod//openid/v1/jwks",
    "/prod/./openid/v1/jwks",
    "/other/../prod/openid/v1/jwks",
    "/other/%2e%2e/prod/openid/v1/jwks",
    "/prod/openid%2Fv1/jwks",
    "/prod/openid/v1/jwk%73",
    "/PROD/openid/v1/jwks",
    "/prod/openid/v1/JWKS",
    `${JWKS}%00`,
    `${JWKS};a=b`,
    "/prod/%",
    "/metrics",
    "/healthz",
    "*",
    `http://oidc.example.com${JWKS}`,
  ]) {
    it(`${path} is not found`, async () => {
      const { body, headers } = refusal("NOT_FOUND", "There is nothing at this path");
      assert.deepEqual(await ask(path), { status: 404, headers, body });
    });
  }
});

describe("Host", () => {
  for (const host of [
    "oidc.example.com",
    "OIDC.Example.com",
    "oidc.example.com:443",
    "oidc.example.com:8443",
    "issuer.internal",
    "[::1]:8080",
  ]) {
    it(`${host} is served`, async () => {
      assert.equal((await ask(JWKS, { headers: { host } })).status, 200);
    });
  }

  for (const host of [
    "example.com",
    "oidc.example.com.evil.example",
    "evil.oidc.example.com",
    "oidc.example.com:443:443",
    "oidc.example.com@evil.example",
    "127.0.0.1",
    "[::2]",
    "",
  ]) {
    it(`${JSON.stringify(host)} is refused, on any path`, async () => {
      const { body, headers } = refusal("HOST_UNKNOWN", "This host is not served here");
      const expected = { status: 421, headers, body };
      assert.deepEqual(await ask(JWKS, { headers: { host } }), expected);
      assert.deepEqual(await ask("/other", { headers: { host } }), expected);
    });
  }

  it("is not taken from a proxy's header", async () => {
    const headers = { host: "evil.example", "x-forwarded-host": "oidc.example.com" };
    assert.equal((await ask(JWKS, { headers })).status, 421);
  });

  it("is required", async () => {
    const text = await raw(`GET ${JWKS} HTTP/1.0\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 421 /);
  });
});

describe("the server", () => {
  it("lives on after what is no request", async () => {
    assert.match(await raw("\0\x01\x02 nonsense\r\n\r\n"), /^HTTP\/1\.1 400 /);
    assert.match(
      await raw(`GET ${JWKS} HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`),
      /^HTTP\/1\.1 431 /,
    );
    assert.equal((await ask(JWKS)).status, 200);
  });

  it("answers a mistake of its own with a bare 500 that nobody keeps", async () => {
    failure = new Error("secret detail");
    const { status, headers, body } = await ask(JWKS);
    failure = undefined;
    assert.deepEqual([status, headers["cache-control"]], [500, "no-store"]);
    assert.deepEqual(JSON.parse(body), { code: "INTERNAL", message: "Internal error" });
    assert.ok(lines.some(({ msg }) => msg === "Request failed"));
  });

  it("counts each request once, by document and code", async () => {
    registry.resetMetrics();
    await ask(JWKS);
    await ask(JWKS, { headers: { "if-none-match": "*" } });
    await ask(DISCOVERY, { method: "HEAD" });
    await ask("/secret-path");
    const text = await registry.getSingleMetricAsString("oidc_http_requests_total");
    assert.deepEqual(
      text
        .split("\n")
        .filter((line) => !line.startsWith("#"))
        .toSorted(),
      [
        'oidc_http_requests_total{path="discovery",code="200"} 1',
        'oidc_http_requests_total{path="jwks",code="200"} 1',
        'oidc_http_requests_total{path="jwks",code="304"} 1',
        'oidc_http_requests_total{path="other",code="404"} 1',
      ],
    );
  });

  it("logs one line for each request", async () => {
    const start = lines.length;
    await ask(JWKS);
    assert.deepEqual(
      lines.slice(start).map(({ msg, method, path, code }) => [msg, method, path, code]),
      [["Answered request", "GET", "jwks", 200]],
    );
  });
});

async function raw(text: string): Promise<string> {
  const socket = connect(server.port, "127.0.0.1");
  socket.end(text);
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  return answer;
}
