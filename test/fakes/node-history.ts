import * as fc from "fast-check";

/** One thing that happens on a node. */
export type Step =
  | { readonly do: "start"; readonly address: number; readonly isReported: boolean }
  | { readonly do: "stop" | "report-end" | "report"; readonly pod: number }
  | { readonly do: "ask"; readonly pod: number; readonly isKept: boolean }
  | { readonly do: "steal"; readonly pod: number; readonly address: number }
  | { readonly do: "deliver"; readonly changes: number }
  | { readonly do: "advance" | "jump"; readonly ms: number }
  | { readonly do: "cut" | "away" | "back" | "restart" };

/** Those that pods have; few, so that they are used again. */
export const ADDRESSES = ["10.1.0.2", "10.1.0.3", "10.1.0.4"];
const nth = fc.nat({ max: 5 });
const place = fc.nat({ max: ADDRESSES.length - 1 });

/** Any step; stealing is asking from an address that may be of another pod. */
export const stepOf = (isSteal: boolean): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("start" as const),
        address: place,
        isReported: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom("stop" as const, "report" as const, "report-end" as const),
        pod: nth,
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("ask" as const), pod: nth, isKept: fc.boolean() }),
    },
    ...(isSteal
      ? [
          {
            weight: 2,
            arbitrary: fc.record({ do: fc.constant("steal" as const), pod: nth, address: place }),
          },
        ]
      : []),
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("deliver" as const), changes: fc.nat({ max: 3 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("advance" as const),
        ms: fc.constantFrom(1, 399, 400, 1001, 6000, 40_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("jump" as const),
        ms: fc.constantFrom(-3_600_000, -1000, 1000, 3_600_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom("cut" as const, "away" as const, "back" as const, "restart" as const),
      }),
    },
  );
