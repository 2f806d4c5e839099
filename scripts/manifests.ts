// Renders the chart into plain manifests for `kubectl apply -k`: npm run manifests
import { rm, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { findHelm } from "../test/helm/helm-program.ts";
import { FOLDERS, MANIFESTS, renderManifests } from "./manifests/render-manifests.ts";

const files = await renderManifests(await findHelm(process.env));
for (const folder of Object.keys(FOLDERS)) {
  await rm(new URL(`${folder}/`, MANIFESTS), { recursive: true, force: true });
}
for (const [name, text] of files) {
  const file = new URL(name, MANIFESTS);
  await mkdir(dirname(file.pathname), { recursive: true });
  await writeFile(file, text);
}
process.stdout.write(`${files.size} files in manifests/\n`);
