import { ask } from "../fakes/ask.ts";
import { untilWithin } from "../fakes/until.ts";

const LIMIT_MS = 60_000;
const until = untilWithin({ limitMs: LIMIT_MS, pauseMs: 20 });

/** Waits until a server answers 200 over plain HTTP. @throws Error when it does not within a minute. */
export async function untilOk(place: {
  readonly host: string;
  readonly port: number;
  readonly path: string;
}): Promise<void> {
  await until(`${place.path} is 200`, async () => {
    try {
      return (await ask(place)).status === 200;
    } catch {
      return false;
    }
  });
}
