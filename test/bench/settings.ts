import { z } from "zod";
import { defineConfig, integer, value } from "../../lib/config.ts";

/** What is measured. */
export const PARTS = ["webhook", "shim"] as const;
export type Part = (typeof PARTS)[number];

/** The settings of all parts. */
export const settings = defineConfig({
  accounts: value(
    "accounts",
    integer({ min: 20, max: 200_000, fallback: 50_000 }),
    "ServiceAccounts in the API server, for the webhook; every tenth has a role",
  ),
  pods: value(
    "pods",
    integer({ min: 40, max: 200_000, fallback: 30_000 }),
    "Pods in the API server, for the shim; up to 250 of them on its node",
  ),
  seconds: value(
    "seconds",
    z.coerce.number("expected a number of seconds").min(0.1).max(60).default(3),
    "Length of each load; there are 12 of them a round for the webhook, 26 for the shim",
  ),
  rounds: value(
    "rounds",
    integer({ min: 1, max: 9, fallback: 3 }),
    "Starts and rounds, of which the medians are told",
  ),
  shimProfile: value(
    "shim-profile",
    z.string().default(""),
    "Folder for a CPU profile of the shim, which makes it slower; none when empty",
  ),
});
