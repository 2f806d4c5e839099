import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { Command } from "commander";
import { addInject } from "../../cli/commands/inject.ts";

/** The role of the ServiceAccount `app`. */
export const ROLE_ARN = "arn:aws:iam::111122223333:role/s3-reader";
const TOKEN_PATH = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
/** Two accounts of the namespace `team`. */
export const SERVICE_ACCOUNTS = `apiVersion: v1
kind: ServiceAccount
metadata:
  name: app
  namespace: team
  annotations:
    eks.amazonaws.com/role-arn: ${ROLE_ARN}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: plain
  namespace: team
`;

interface Run {
  readonly out: string;
  readonly notes: readonly string[];
}

function collected(): { readonly stream: Writable; readonly texts: string[] } {
  const texts: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      texts.push(chunk.toString());
      done();
    },
  });
  return { stream, texts };
}

/** Runs the command in this process, with `input` as its stdin. */
export async function inject(input: string, ...args: readonly string[]): Promise<Run> {
  const [stdout, stderr] = [collected(), collected()];
  const irsa = new Command("irsa").exitOverride();
  addInject(irsa, {
    env: {},
    stdin: Readable.from([Buffer.from(input)]),
    stdout: stdout.stream,
    stderr: stderr.stream,
    signal: new AbortController().signal,
  });
  await irsa.parseAsync(["inject", "-f", "-", ...args], { from: "user" });
  const notes = stderr.texts.join("").split("\n").slice(0, -1);
  return { out: stdout.texts.join(""), notes };
}

/** The same with a file of the ServiceAccounts `app`, which has a role, and `plain`, which has none. */
export async function injectWithAccounts(input: string, ...args: readonly string[]): Promise<Run> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "irsa-inject-"));
  const file = join(folder.path, "sa.yaml");
  await writeFile(file, SERVICE_ACCOUNTS);
  return inject(input, `--service-account-file=${file}`, ...args);
}

/** Of the ServiceAccount `app`. */
export const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: team
spec:
  serviceAccountName: app
  containers:
    - name: web
`;

/** What is added to a container, at an indentation. */
export function additions(indent: string): string {
  return [
    "env:",
    "  - name: AWS_ROLE_ARN",
    `    value: ${ROLE_ARN}`,
    "  - name: AWS_WEB_IDENTITY_TOKEN_FILE",
    `    value: ${TOKEN_PATH}/token`,
    "volumeMounts:",
    "  - name: aws-iam-token",
    `    mountPath: ${TOKEN_PATH}`,
    "    readOnly: true",
  ]
    .map((line) => `${indent}${line}\n`)
    .join("");
}

/** What is added to `POD` at its end. */
export const VOLUMES = `  volumes:
    - name: aws-iam-token
      projected:
        sources:
          - serviceAccountToken:
              audience: sts.amazonaws.com
              expirationSeconds: 86400
              path: token
`;
