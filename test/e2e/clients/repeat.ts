import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 2000;

/** Says whose credentials it has. */
export type Client = () => Promise<string | undefined>;

/**
 * Prints who two clients are, again and again: one that keeps its credentials as a program does that
 * runs for long, and one that has just been made. What tells an SDK of AWS is taken from the
 * environment before, which leaves the metadata service, at the address that the environment names.
 *
 * @param newClient Makes one, which asks STS at a URL.
 */
export async function repeat(newClient: (stsUrl: string) => Client): Promise<never> {
  const stsUrl = process.env["AWS_ENDPOINT_URL_STS"] ?? "";
  for (const name of Object.keys(process.env)) {
    if (/^AWS_(?!EC2_METADATA_)/.test(name)) delete process.env[name];
  }
  let kept: Client | undefined;
  for (;;) {
    // A program that finds none at its start ends, and is started again.
    const client = kept ?? newClient(stsUrl);
    if (await say("kept", client)) kept = client;
    await say("new", newClient(stsUrl));
    await sleep(PAUSE_MS);
  }
}

/** Whether it knew. */
async function say(client: string, identity: Client): Promise<boolean> {
  const outcome = await identity().then(
    (arn) => ({ arn }),
    (err: unknown) => ({ problem: String(err) }),
  );
  process.stdout.write(`${JSON.stringify({ client, ...outcome })}\n`);
  return "arn" in outcome;
}
