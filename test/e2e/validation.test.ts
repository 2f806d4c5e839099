import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { prepareStage } from "../../cli/demo/stage.ts";
import { createLogger } from "../../lib/log.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook } from "../../webhook/main.ts";
import { validatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { until } from "../fakes/until.ts";

// What a person at a terminal sees: the kubectl of the API server's own version, and its warnings.

const run = promisify(execFile);
const ROLE = "arn:aws:iam::111122223333:role/reader";
const ROLE_KEY = "eks.amazonaws.com/role-arn";
const EXAMPLE = '["arn:aws:iam::111122223333:role/team/*"]';

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let plane: ControlPlane;
let folder: string;

before(async () => {
  if (skip !== false) return;
  folder = await mkdtemp(join(tmpdir(), "irsa-validation-"));
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }));
  plane = cleanUp.use(await startControlPlane());
  await apply({ kind: "Namespace", metadata: { name: "warned" } });
  await apply({ kind: "Namespace", metadata: { name: "denied" } });
  // One webhook that warns and one that denies, each for a namespace of its own.
  for (const mode of ["warn", "deny"] as const) {
    const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
    const flags = ["--kubeconfig", plane.kubeconfig, "--host=127.0.0.1", "--port=0"];
    flags.push("--in-cluster=false");
    flags.push("--metrics-port=0", "--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
    flags.push(`--validation=${mode}`, "--aws-default-region=eu-central-1");
    const log = createLogger({ level: "error", service: "e2e" }, process.stderr);
    const webhook = cleanUp.use(
      await startWebhook(webhookConfig.parse(flags, {}), { log, env: {} }),
    );
    await webhook.whenReady;
    await apply(
      validatingWebhookConfiguration({
        name: `irsa-anywhere-${mode}`,
        clientConfig: { url: `https://127.0.0.1:${webhook.port}`, caPem: stage.caPem },
        exemptNamespaces: mode === "warn" ? ["denied"] : ["warned", "team"],
      }),
    );
  }
  await until("both webhooks are in force", async () => {
    const [warned, denied] = await Promise.all([
      apply(serviceAccount("warned", "probe", { [ROLE_KEY]: "" }), "--dry-run=server"),
      apply(serviceAccount("denied", "probe", { [ROLE_KEY]: "" }), "--dry-run=server"),
    ]);
    return warned.stderr !== "" && denied.code !== 0;
  });
});
after(() => cleanUp.disposeAsync());

describe("kubectl apply", { skip }, () => {
  const mistakes: readonly (readonly [
    name: string,
    annotations: Readonly<Record<string, string>>,
    warning: string,
  ])[] = [
    [
      "a misspelt prefix",
      { "eks.amazon.com/role-arn": ROLE },
      `annotation eks.amazon.com/role-arn is not read: write ${ROLE_KEY}`,
    ],
    [
      "a misspelt name",
      { "eks.amazonaws.com/role_arn": ROLE },
      `annotation eks.amazonaws.com/role_arn is not read: write ${ROLE_KEY}`,
    ],
    [
      "kube2iam's annotation",
      { "iam.amazonaws.com/role": "reader" },
      `annotation iam.amazonaws.com/role is kube2iam's, for pods: write ${ROLE_KEY} with the role's ARN`,
    ],
    [
      "a name for an ARN",
      { [ROLE_KEY]: "reader" },
      `annotation ${ROLE_KEY} "reader" is a name: write arn:aws:iam::ACCOUNT:role/reader`,
    ],
    [
      "white space",
      { [ROLE_KEY]: `${ROLE} ` },
      `annotation ${ROLE_KEY} "${ROLE} " has white space around it: write ${ROLE}`,
    ],
    [
      "a role of another partition",
      { [ROLE_KEY]: "arn:aws-cn:iam::111122223333:role/reader" },
      `annotation ${ROLE_KEY} is a role of partition aws-cn, but region eu-central-1 is in aws: ` +
        "write arn:aws:iam::ACCOUNT:role/NAME",
    ],
    [
      "an expiration with a unit",
      { "eks.amazonaws.com/token-expiration": "1h" },
      'annotation eks.amazonaws.com/token-expiration "1h" is no number of seconds and not used: ' +
        "write 86400 for a day",
    ],
    [
      "an expiration that is too short",
      { "eks.amazonaws.com/token-expiration": "60" },
      'annotation eks.amazonaws.com/token-expiration "60" is raised to 600, the least Kubernetes allows',
    ],
    [
      "a boolean that is none",
      { "eks.amazonaws.com/sts-regional-endpoints": "yes" },
      'annotation eks.amazonaws.com/sts-regional-endpoints "yes" is no boolean and not used: ' +
        'write "true"',
    ],
    [
      "an empty audience",
      { "eks.amazonaws.com/audience": "" },
      "annotation eks.amazonaws.com/audience is empty, sts.amazonaws.com is used: " +
        "write an audience or remove it",
    ],
  ];
  for (const [i, [name, annotations, warning]] of mistakes.entries()) {
    it(`of a ServiceAccount with ${name} prints what to write`, async () => {
      const { code, stderr, stdout } = await apply(
        serviceAccount("warned", `app-${i}`, annotations),
      );
      assert.equal(code, 0, stderr);
      assert.equal(stdout, `serviceaccount/app-${i} created\n`);
      assert.deepEqual(warningsIn(stderr), [warning]);
    });

    it(`of a ServiceAccount with ${name} is refused where that is asked for`, async () => {
      const { code, stderr } = await apply(serviceAccount("denied", `app-${i}`, annotations));
      assert.notEqual(code, 0);
      assert.ok(
        stderr.includes(
          `admission webhook "serviceaccounts.irsa-anywhere.io" denied the request: ${warning}\n`,
        ),
        stderr,
      );
    });
  }

  it("of a good ServiceAccount prints no warning", async () => {
    const { stderr, code } = await apply(serviceAccount("denied", "good", { [ROLE_KEY]: ROLE }));
    assert.deepEqual([code, stderr], [0, ""]);
  });

  it("of a Namespace with three mistakes prints three warnings", async () => {
    const { code, stderr } = await apply({
      kind: "Namespace",
      metadata: {
        name: "team",
        labels: { "irsa-anywhere.io/injection": "enable" },
        annotations: {
          "irsa-anywhere.io/allowed-roles": "reader",
          "irsa-anywhere.io/default-regoin": "eu-central-1",
        },
      },
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(warningsIn(stderr).toSorted(), [
      `annotation irsa-anywhere.io/allowed-roles "reader" allows no role: expected a JSON array, ${EXAMPLE}`,
      "annotation irsa-anywhere.io/default-regoin is not read: write irsa-anywhere.io/default-region",
      'label irsa-anywhere.io/injection "enable" is unknown and counts as absent: write enabled',
    ]);
  });
});

function serviceAccount(
  namespace: string,
  name: string,
  annotations: Readonly<Record<string, string>>,
): object {
  return { kind: "ServiceAccount", metadata: { namespace, name, annotations } };
}

function warningsIn(stderr: string): string[] {
  return stderr
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => /^Warning: (.*)$/.exec(line)?.[1] ?? assert.fail(line));
}

let files = 0;

/** What `kubectl apply` of an object prints, and its exit status. */
async function apply(
  object: object,
  ...flags: readonly string[]
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  files += 1;
  const file = join(folder, `${files}.json`);
  await writeFile(file, JSON.stringify({ apiVersion: "v1", ...object }));
  const [program = "", ...args] = plane.commandOf("kubectl");
  const all = [...args, `--kubeconfig=${plane.kubeconfig}`, "apply", "-f", file, ...flags];
  try {
    return { code: 0, ...(await run(program, all, { env: { HOME: folder } })) };
  } catch (err) {
    const { code, stdout, stderr } = err as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}
