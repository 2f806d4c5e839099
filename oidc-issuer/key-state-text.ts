import { z } from "zod";
import { AppError, reasonOf } from "../lib/errors.ts";
import { sanitizeJwk, type PublicJwk } from "./jwk.ts";
import { combineKeyStates, EMPTY_KEY_STATE, type KeyState } from "./merge.ts";

const VERSION = 1;

const moment = z.iso.datetime().transform((text) => Date.parse(text));
const StoredState = z.looseObject({
  version: z.literal(VERSION),
  lastComplete: moment.optional(),
  keys: z
    .array(
      z.looseObject({
        jwk: z.unknown().transform(publishable),
        firstSeen: moment,
        lastSeen: moment,
        absentSince: moment.optional(),
      }),
    )
    .min(1),
});

/** Writes a state as the JSON text that a store keeps: readable, and the same for equal states. */
export function formatKeyState({ keys, lastCompleteMs }: KeyState): string {
  const stored = {
    version: VERSION,
    lastComplete: isoOf(lastCompleteMs),
    keys: keys.map(({ jwk, firstSeenMs, lastSeenMs, absentSinceMs }) => ({
      jwk,
      firstSeen: isoOf(firstSeenMs),
      lastSeen: isoOf(lastSeenMs),
      absentSince: isoOf(absentSinceMs),
    })),
  };
  return `${JSON.stringify(stored, undefined, 2)}\n`;
}

/**
 * Reads the text of {@link formatKeyState}. Every key is checked as strictly as one from an API server,
 * since what is stored is published.
 *
 * @throws AppError STORE_INVALID when the text is cut off, of another version, or holds a bad key
 */
export function parseKeyState(text: string): KeyState {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw storeInvalid(reasonOf(cause), { cause });
  }
  const parsed = StoredState.safeParse(json);
  if (!parsed.success) throw storeInvalid(z.prettifyError(parsed.error).replaceAll("\n", " "));
  const { keys, lastComplete } = parsed.data;
  const state = {
    keys: keys.map(({ jwk, firstSeen, lastSeen, absentSince }) => ({
      jwk,
      firstSeenMs: firstSeen,
      lastSeenMs: lastSeen,
      absentSinceMs: absentSince,
    })),
    lastCompleteMs: lastComplete,
  };
  // Sorted, and every kid once.
  return combineKeyStates(EMPTY_KEY_STATE, state);
}

function publishable(stored: unknown, context: z.RefinementCtx): PublicJwk {
  const result = sanitizeJwk(stored);
  if ("jwk" in result) return result.jwk;
  context.addIssue({ code: "custom", message: `${result.reason} (${result.detail})` });
  return z.NEVER;
}

function isoOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

function storeInvalid(problem: string, options?: { cause?: unknown }): AppError {
  return new AppError("STORE_INVALID", 500, `Cannot use the stored keys: ${problem}`, options);
}
