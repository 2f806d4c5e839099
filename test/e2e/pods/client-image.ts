import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import type { Buildah } from "../../../scripts/image/buildah.ts";
import { LOCAL_BASE } from "../../../scripts/image/build-image.ts";

/** Node with the AWS SDK for JavaScript v3, which says who it is; no configuration but where this AWS is. */
export const CLIENT_IMAGE = "localhost/sdk-v3:test";
/** Scripts in its folder /client; the first is what it runs. */
const SCRIPTS = ["sdk-v3", "repeat-v3", "repeat-v2"] as const;

/** What a test knows of its AWS, and AWS itself would need none of. */
export interface AwsPlace {
  readonly stsUrl: string;
  readonly caPem: string;
}

/**
 * Builds {@link CLIENT_IMAGE} as a docker-archive.
 *
 * @param buildah With the local base in its store, as {@link buildImage} leaves it there.
 * @param folder For the build context; it must exist.
 */
export async function buildClientImage(
  buildah: Buildah,
  { folder, file, aws }: { readonly folder: string; readonly file: string; readonly aws: AwsPlace },
): Promise<void> {
  const context = join(folder, "client");
  await mkdir(context);
  for (const script of SCRIPTS) {
    const bundle = await rolldown({
      input: fileURLToPath(new URL(`../clients/${script}.ts`, import.meta.url)),
      platform: "node",
      logLevel: "silent",
    });
    const target = join(context, `${script}.mjs`);
    await bundle.write({ file: target, format: "esm", codeSplitting: false });
    await bundle.close();
  }
  await writeFile(join(context, "aws.pem"), aws.caPem);
  await writeFile(
    join(context, "Dockerfile"),
    `FROM ${LOCAL_BASE}
COPY *.mjs aws.pem /client/
ENV AWS_ENDPOINT_URL_STS=${aws.stsUrl} NODE_EXTRA_CA_CERTS=/client/aws.pem
ENTRYPOINT ["/nodejs/bin/node"]
CMD ["/client/sdk-v3.mjs"]
`,
  );
  await buildah.build(context, { tag: CLIENT_IMAGE, pull: false });
  await buildah.save(CLIENT_IMAGE, file);
}
