import type { BySdk, Sdk } from "./sdks.ts";

/** What docs/shim.md says of a fault. Times are asserted three times as long: cores are shared. */
export interface Expected {
  readonly warm: number;
  readonly warmMs: number;
  readonly cold: number;
  readonly coldMs?: readonly [least: number, most: number];
  /** SDKs that find credentials while it lasts, and how often the others ask when that is said. */
  readonly finding: readonly Sdk[];
  readonly tries?: BySdk<number>;
  /** Whether JavaScript v3 finds them at its second time. */
  readonly findsLater: boolean;
}

const ONE_TRY = { "JavaScript v3": 1, "JavaScript v2": 1, boto3: 1 };
const AT_ONCE_MS = 100;
const OUTAGE: Expected = {
  warm: 200,
  warmMs: AT_ONCE_MS,
  cold: 503,
  finding: [],
  tries: { ...ONE_TRY, "JavaScript v2": 4 },
  findsLater: false,
};
const API_AWAY: Expected = {
  warm: 200,
  warmMs: 500,
  cold: 503,
  finding: [],
  findsLater: false,
};

export const EXPECTED: Readonly<Record<string, Expected>> = {
  "STS cuts connections": OUTAGE,
  "STS throttles": OUTAGE,
  "STS takes 3 s": {
    warm: 200,
    warmMs: AT_ONCE_MS,
    cold: 503,
    coldMs: [700, 800],
    finding: ["JavaScript v2"],
    findsLater: true,
  },
  "STS refuses": { ...OUTAGE, cold: 403, tries: ONE_TRY },
  "the API server hangs": API_AWAY,
  "the API server refuses connections": API_AWAY,
  "the API server hangs, without the kernel's word": { ...API_AWAY, warm: 503, warmMs: 1000 },
  "the API server refuses connections, without the kernel's word": {
    ...API_AWAY,
    warm: 503,
    warmMs: 1000,
  },
};
/** For machines that do other things too. */
export const SLACK = 3;
