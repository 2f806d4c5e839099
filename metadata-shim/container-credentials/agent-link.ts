import { z } from "zod";
import { AppError } from "../../lib/errors.ts";
import type { Family } from "../rules/rule-settings.ts";
import type { RunProgram } from "../rules/run-program.ts";
import { AGENT_HOSTS } from "./answers.ts";

/** The link of this node that has the addresses of the container-credentials endpoint, and no others. */
export const AGENT_LINK = "irsa-agent0";

const ADDRESSES: Readonly<Record<Family, string>> = {
  ipv4: `${AGENT_HOSTS[0]}/32`,
  ipv6: `${AGENT_HOSTS[1]}/128`,
};

const Links = z.array(
  z.looseObject({ ifname: z.string().optional(), flags: z.array(z.string()).default([]) }),
);

/**
 * Makes the link with its addresses, as far as they are not there. Packets of pods to them end on this
 * node then, and the shim can listen on them.
 *
 * @returns whether anything had to be made.
 * @throws AppError RULES_FAILED, also when another link has one of the addresses, as that of AWS's own
 *   agent does.
 */
export async function ensureAgentLink(
  families: readonly Family[],
  run: RunProgram,
): Promise<boolean> {
  const homes = await Promise.all(
    families.map(async (family) => ({ family, links: await homesOf(family, run) })),
  );
  for (const { family, links } of homes) {
    const other = links.find((name) => name !== AGENT_LINK);
    if (other === undefined) continue;
    throw failed(`${other} has ${ADDRESSES[family]} already: another agent runs on this node`);
  }
  const commands: (readonly string[])[] = [];
  const link = await findLink(run);
  if (link === undefined) await addLink(run);
  for (const { family, links } of homes) {
    if (links.length > 0) continue;
    // The address is this link's alone, so nobody else can have it.
    const nodad = family === "ipv6" ? ["nodad"] : [];
    commands.push(["address", "add", ADDRESSES[family], "dev", AGENT_LINK, ...nodad]);
  }
  if (link?.flags.includes("UP") !== true) commands.push(["link", "set", AGENT_LINK, "up"]);
  for (const command of commands) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- each needs the one before
    await ip(command, run);
  }
  return link === undefined || commands.length > 0;
}

/** Kinds of a link that leads nowhere: not every kernel has the first, and a bridge may be empty. */
const KINDS = ["dummy", "bridge"] as const;

async function addLink(run: RunProgram): Promise<void> {
  const problems: string[] = [];
  for (const kind of KINDS) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- the next only when this one fails
    const { status, stderr } = await run("ip", ["link", "add", AGENT_LINK, "type", kind]);
    if (status === 0) return;
    problems.push(`${kind}: ${stderr.trim()}`);
  }
  throw failed(problems.join("; "));
}

/** Takes the link away. @returns whether there was one. @throws AppError RULES_FAILED */
export async function removeAgentLink(run: RunProgram): Promise<boolean> {
  if ((await findLink(run)) === undefined) return false;
  await ip(["link", "delete", AGENT_LINK], run);
  return true;
}

async function findLink(
  run: RunProgram,
): Promise<{ readonly flags: readonly string[] } | undefined> {
  const { status, stdout } = await run("ip", ["-json", "link", "show", "dev", AGENT_LINK]);
  // It says so by its status when there is no such link.
  return status === 0 ? linksIn(stdout)[0] : undefined;
}

async function homesOf(family: Family, run: RunProgram): Promise<readonly string[]> {
  const stdout = await ip(["-json", "address", "show", "to", ADDRESSES[family]], run);
  return linksIn(stdout).flatMap(({ ifname }) => ifname ?? []);
}

function linksIn(json: string): z.infer<typeof Links> {
  return json.trim() === "" ? [] : Links.parse(JSON.parse(json));
}

async function ip(args: readonly string[], run: RunProgram): Promise<string> {
  const { status, stdout, stderr } = await run("ip", args);
  if (status === 0) return stdout;
  throw failed(`ip ${args.join(" ")}: ${stderr.trim() || `ended with ${status}`}`);
}

function failed(problem: string): AppError {
  return new AppError("RULES_FAILED", 500, `Cannot make the link ${AGENT_LINK}: ${problem}`);
}
