import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { Helm } from "../../test/helm/helm-program.ts";

/** The folder of the chart and of what is rendered from it. */
export const MANIFESTS = new URL("../../manifests/", import.meta.url);

const NAMESPACE = "irsa-system";
/** What stands for the issuer URL until it is replaced; the name is reserved for examples (RFC 2606). */
const EXAMPLE_ISSUER = "https://oidc.example.com";

/** Each folder of plain manifests, with the values that its objects are rendered from. */
export const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  webhook: [],
  shim: ["webhook.enabled=false", "shim.enabled=true"],
  issuer: ["webhook.enabled=false", "issuer.enabled=true", `issuer.url=${EXAMPLE_ISSUER}`],
};

/**
 * The plain manifests, by their path in `manifests/`: a folder with a kustomization for each program,
 * with a file for each template of the chart.
 */
export async function renderManifests(helm: Helm): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const [folder, values] of Object.entries(FOLDERS)) {
    const { stdout } = await helm([
      "template",
      "irsa-anywhere",
      fileURLToPath(new URL("chart", MANIFESTS)),
      `--namespace=${NAMESPACE}`,
      ...values.map((value) => `--set=${value}`),
    ]);
    const texts = byTemplate(stdout);
    for (const [name, text] of texts) files.set(`${folder}/${name}`, text);
    files.set(
      `${folder}/kustomization.yaml`,
      `${GENERATED}${stringify({
        apiVersion: "kustomize.config.k8s.io/v1beta1",
        kind: "Kustomization",
        resources: [...texts.keys()].toSorted(),
      })}`,
    );
  }
  return files;
}

const GENERATED = "# Rendered from the chart by `npm run manifests`: change that instead.\n";

/** The documents of each template in one text, by the file name of the template. */
function byTemplate(rendered: string): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const document of rendered.split(/^---\n/m)) {
    const [source, template] = /^# Source: \S+\/(\S+)\n/.exec(document) ?? [];
    if (source === undefined || template === undefined) continue;
    const text = withoutHelm(document.slice(source.length)).trim();
    const before = texts.get(template);
    texts.set(template, before === undefined ? `${GENERATED}${text}\n` : `${before}---\n${text}\n`);
  }
  return texts;
}

/** What only Helm reads, with the comment above it. */
function withoutHelm(document: string): string {
  return document.replace(/^ {2}annotations:\n(?: {4}#.*\n)* {4}helm\.sh\/.*\n/m, "");
}
