import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { AppError } from "../../lib/errors.ts";
import { Faults } from "./faults.ts";
import { parseHostPort, type NameTable } from "./identity-provider/endpoint.ts";

const MAX_OFFSET_SECONDS = 10 * 366 * 24 * 3600;

const Changes = z.strictObject({
  clockOffsetSeconds: z
    .number("expected a number of seconds")
    .min(-MAX_OFFSET_SECONDS)
    .max(MAX_OFFSET_SECONDS)
    .optional(),
  resolve: z
    .record(z.string(), z.string().refine(isHostPort, 'expected NAME: "HOST:PORT"'))
    .transform(lowerCased)
    .optional(),
  faults: Faults.optional(),
  trustCaPem: z.string().refine(isCertificate, "expected certificates in PEM").optional(),
  jwksCache: z.boolean("expected true or false").optional(),
});

/**
 * What can be changed while the stand-in runs. Each key that is given replaces that whole setting:
 * `{"faults": {}}` ends all faults.
 */
export type Changes = z.input<typeof Changes>;

/** The settings of a running stand-in. */
export interface Controls {
  readonly clockOffsetSeconds: number;
  readonly resolve: NameTable;
  readonly faults: Faults;
  /** PEM, each with one certificate or several. */
  readonly trustCaPems: readonly string[];
  readonly jwksCache: boolean;
}

/**
 * Applies changes to settings.
 *
 * @throws AppError INPUT_INVALID naming what is unknown or wrong, and what is wanted.
 */
export function changeControls(controls: Controls, changes: unknown): Controls {
  const parsed = Changes.safeParse(changes);
  if (!parsed.success) {
    const wanted = `Give any of ${Object.keys(Changes.shape).join(", ")}`;
    const message = `Cannot change the settings:\n${z.prettifyError(parsed.error)}\n${wanted}`;
    throw new AppError("INPUT_INVALID", 400, message);
  }
  const { clockOffsetSeconds, resolve, faults, trustCaPem, jwksCache } = parsed.data;
  return {
    clockOffsetSeconds: clockOffsetSeconds ?? controls.clockOffsetSeconds,
    resolve: resolve ?? controls.resolve,
    faults: faults ?? controls.faults,
    trustCaPems: trustCaPem === undefined ? controls.trustCaPems : [trustCaPem],
    jwksCache: jwksCache ?? controls.jwksCache,
  };
}

function isHostPort(text: string): boolean {
  return parseHostPort(text) !== undefined;
}

/** Whether a text holds a certificate in PEM. */
export function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).raw.length > 0;
  } catch {
    // Whatever it is, it is none.
    return false;
  }
}

function lowerCased(names: NameTable): NameTable {
  return Object.fromEntries(
    Object.entries(names).map(([name, address]) => [name.toLowerCase(), address]),
  );
}
