import { z } from "zod";
import { defineConfig, integer, list, toggle, value } from "../../lib/config.ts";
import { parseHostPort, type NameTable } from "./identity-provider/endpoint.ts";

const RESOLVE = "expected NAME=HOST:PORT";

/** What the stand-in can be told when it runs alone. */
export const settings = defineConfig({
  port: value(
    "port",
    integer({ min: 0, max: 65_535, fallback: 0 }),
    "Port of all services on 127.0.0.1, 0 for any free one",
  ),
  trustCa: list(
    "trust-ca",
    z.string().min(1, "expected a path"),
    "PEM file with authorities that stand for the public ones when an issuer's certificate is checked",
  ),
  resolve: list(
    "resolve",
    z.string().refine((text) => parseResolve(text) !== undefined, RESOLVE),
    "NAME=HOST:PORT, where the host name of an issuer is served; other names are never looked up",
  ),
  jwksCache: toggle(
    "jwks-cache",
    false,
    "Keep the issuers' answers as their Cache-Control allows, instead of fetching them for each token",
  ),
  partition: value(
    "partition",
    z
      .string()
      .regex(/^aws[a-z0-9-]*$/, "expected a partition such as aws or aws-cn")
      .default("aws"),
    "Partition of both accounts",
  ),
});

/** The names of `--resolve`, ready to be looked up; the last of a name that is given twice wins. */
export function nameTableOf(resolve: readonly string[]): NameTable {
  return Object.fromEntries(resolve.map(parseResolve).filter((entry) => entry !== undefined));
}

function parseResolve(text: string): readonly [name: string, address: string] | undefined {
  const [, name, address] = /^([^\s=:/]+)=(\S+)$/.exec(text) ?? [];
  if (name === undefined || address === undefined) return undefined;
  return parseHostPort(address) === undefined ? undefined : [name.toLowerCase(), address];
}
