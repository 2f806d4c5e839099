import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import jsonPatch, { type Operation } from "fast-json-patch";
import { decodeJwt } from "jose";
import { parse } from "yaml";
import { z } from "zod";
import { issuerConfig } from "../../oidc-issuer/config.ts";
import { publishOnce } from "../../oidc-issuer/main.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import type { ApiServerSettings } from "../kubernetes/api-server-flags.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { createKubeClients } from "../kubernetes/kube-clients.ts";
import { createWorkspace, type Workspace } from "../kubernetes/workspace.ts";
import { pageBlock } from "../page-blocks.ts";

// What the quick starts tell kubeadm, kind and k3s, read from the pages, on a real API server. How these
// turn it into flags is written here as their documentation and sources have it.

const skip = (await missingComponents(process.env)) ?? false;
const OLD_ISSUER = "https://kubernetes.default.svc.cluster.local";

interface Flag {
  readonly name: string;
  readonly value: string;
}

/** A page, its issuer, and the flags that an API server then has, in their order. */
interface QuickStart {
  readonly page: string;
  readonly issuer: string;
  readonly flags: () => Promise<readonly Flag[]>;
}

const KUBEADM_DEFAULTS: readonly Flag[] = [{ name: "service-account-issuer", value: OLD_ISSUER }];
/** docs.k3s.io/cli/server: its own audience beside the issuer. */
const K3S_DEFAULTS: readonly Flag[] = [
  { name: "service-account-issuer", value: OLD_ISSUER },
  { name: "api-audiences", value: `${OLD_ISSUER},k3s` },
];

const KIND_ISSUER = "https://irsa-kind-1.s3.eu-central-1.amazonaws.com";
const QUICK_STARTS: Readonly<Record<string, QuickStart>> = {
  "kind up to Kubernetes 1.35": {
    page: "quick-start-kind.md",
    issuer: KIND_ISSUER,
    flags: async () => kindFlags("v1beta3"),
  },
  "kind from Kubernetes 1.36": {
    page: "quick-start-kind.md",
    issuer: KIND_ISSUER,
    flags: async () => kindFlags("v1beta4"),
  },
  k3s: {
    page: "quick-start-k3s.md",
    issuer: "https://oidc.example.com",
    flags: k3sFlags,
  },
  kubeadm: {
    page: "quick-start-kubeadm.md",
    issuer: "https://oidc.example.com/prod",
    flags: kubeadmFlags,
  },
};

let plane: ControlPlane;
let workspace: Workspace;
before(async () => {
  if (skip !== false) return;
  workspace = await createWorkspace();
  plane = await startControlPlane();
  await plane.createServiceAccount("team", "app");
});
after(async () => {
  await plane?.[Symbol.asyncDispose]();
  await workspace?.[Symbol.asyncDispose]();
});

for (const [name, { page, issuer, flags }] of Object.entries(QUICK_STARTS)) {
  const isNewCluster = page.includes("kind");
  describe(`an API server as ${page} sets it for ${name}`, { skip }, () => {
    let oldToken: string;
    before(async () => {
      if (skip !== false) return;
      await restart({ issuers: [OLD_ISSUER], apiAudiences: undefined, flags: [] });
      oldToken = await tokenFor();
      assert.equal(decodeJwt(oldToken).iss, OLD_ISSUER);
      await restart(settingsOf(await flags()));
    });

    it("signs with the new issuer, and says so", async () => {
      assert.equal(decodeJwt(await tokenFor()).iss, issuer);
      const [server] = plane.apiServers;
      const { body } = await server.getRaw("/.well-known/openid-configuration");
      const document = JSON.parse(body) as { issuer: string; jwks_uri: string };
      assert.deepEqual([document.issuer, document.jwks_uri], [issuer, `${issuer}/openid/v1/jwks`]);
    });

    it("accepts its own tokens, but none that is for AWS", async () => {
      assert.equal(await isAccepted(await tokenFor()), true);
      assert.equal(await isAccepted(await tokenFor("sts.amazonaws.com")), false);
    });

    if (!isNewCluster) {
      it("still accepts the tokens that running pods have", async () => {
        assert.equal(await isAccepted(oldToken), true);
      });
    }

    it("has its keys published by the issuer under that URL", async () => {
      const folder = join(workspace.path, name.replaceAll(" ", "-"));
      await mkdir(folder);
      const args = ["--once", "--issuer", issuer, "--publish-dir", folder];
      args.push("--kubeconfig", plane.kubeconfig, "--api-server", plane.url);
      await publishOnce(issuerConfig.parse(args, {}), createCollectedLog());
      const jwks: unknown = JSON.parse(await readFile(join(folder, "openid/v1/jwks"), "utf8"));
      const [server] = plane.apiServers;
      assert.deepEqual(jwks, JSON.parse((await server.getRaw("/openid/v1/jwks")).body));
      const text = await readFile(join(folder, ".well-known/openid-configuration"), "utf8");
      const { claims_supported: _more, ...document } = JSON.parse(text) as Record<string, unknown>;
      const { body } = await server.getRaw("/.well-known/openid-configuration");
      assert.deepEqual(document, JSON.parse(body));
    });
  });
}

async function restart(changes: ApiServerSettings): Promise<void> {
  const [server] = plane.apiServers;
  await server.stop();
  await server.start(changes);
}

/** Without an audience it is for the API server. */
async function tokenFor(audience?: string): Promise<string> {
  const audiences = audience === undefined ? [] : [audience];
  return (await plane.requestToken({ namespace: "team", serviceAccount: "app", audiences })).token;
}

/** Whether the API server knows who sends this token. */
async function isAccepted(token: string): Promise<boolean> {
  const { authentication } = createKubeClients(plane, "team/app", { token });
  try {
    const { status } = await authentication.createSelfSubjectReview({ body: {} });
    return status?.userInfo?.username === "system:serviceaccount:team:app";
  } catch (err) {
    const { code } = z.object({ code: z.number() }).parse(err);
    assert.equal(code, 401);
    return false;
  }
}

/** As the tests' own way to start an API server takes them. */
function settingsOf(flags: readonly Flag[]): ApiServerSettings {
  const all = (wanted: string): readonly string[] =>
    flags.flatMap(({ name, value }) => (name === wanted ? [value] : []));
  const own = new Set(["service-account-issuer", "api-audiences"]);
  return {
    issuers: all("service-account-issuer"),
    apiAudiences: all("api-audiences").at(-1)?.split(","),
    flags: flags.flatMap(({ name, value }) => (own.has(name) ? [] : [`--${name}=${value}`])),
  };
}

const Arguments = z.union([
  z.record(z.string(), z.string()),
  z.array(z.object({ name: z.string(), value: z.string() })),
]);
const ClusterConfiguration = z.looseObject({
  apiVersion: z.string(),
  apiServer: z.object({ extraArgs: Arguments }),
});

/** Of the patches for kubeadm, kind takes those of the version that it uses (kind#4173). */
async function kindFlags(version: string): Promise<readonly Flag[]> {
  const block = await pageBlock("quick-start-kind.md", "bash", "kubeadmConfigPatches");
  const [, heredoc = ""] = /<<EOF\n(.*?)^EOF$/ms.exec(block) ?? [];
  const config = parse(heredoc.replaceAll("$ISSUER", KIND_ISSUER)) as {
    kubeadmConfigPatches: readonly string[];
  };
  const patches = config.kubeadmConfigPatches.map((text) =>
    ClusterConfiguration.parse(parse(text)),
  );
  const patch = patches.find(({ apiVersion }) => apiVersion.endsWith(`/${version}`));
  assert.ok(patch, version);
  const { extraArgs } = patch.apiServer;
  // A flag that kubeadm sets itself is replaced (kubeadm, "Customizing components").
  if (Array.isArray(extraArgs)) return extraArgs;
  return Object.entries(extraArgs).map(([name, value]) => ({ name, value }));
}

/** k3s puts `-=` in front of its own value and `+=` behind it; `=` replaces (k3s, pkg/util/args.go). */
async function k3sFlags(): Promise<readonly Flag[]> {
  const block = await pageBlock("quick-start-k3s.md", "yaml", "kube-apiserver-arg");
  const { "kube-apiserver-arg": args } = parse(block) as {
    "kube-apiserver-arg": readonly string[];
  };
  return args.reduce<readonly Flag[]>((flags, text) => {
    const [, name = "", operator, value = ""] = /^([a-z-]+?)(-=|\+=|=)(.*)$/.exec(text) ?? [];
    if (operator === "-=") return [{ name, value }, ...flags];
    const others = operator === "=" ? flags.filter((flag) => flag.name !== name) : flags;
    return [...others, { name, value }];
  }, K3S_DEFAULTS);
}

/** kubeadm applies the patch to the static pod that it renders. */
async function kubeadmFlags(): Promise<readonly Flag[]> {
  const block = await pageBlock("quick-start-kubeadm.md", "json", "/spec/containers/0/command");
  const own = KUBEADM_DEFAULTS.map(({ name, value }) => `--${name}=${value}`);
  const pod = { spec: { containers: [{ command: ["kube-apiserver", ...own] }] } };
  const { newDocument } = jsonPatch.applyPatch(pod, JSON.parse(block) as Operation[], true);
  const [program, ...flags] = newDocument.spec.containers[0]?.command ?? [];
  assert.equal(program, "kube-apiserver");
  return flags.map((text) => {
    const [, name = "", value = ""] = /^--([a-z-]+)=(.*)$/.exec(text) ?? [];
    return { name, value };
  });
}
