import { randomUUID } from "node:crypto";
import type { ShimWorld } from "../../shim/shim-world.ts";
import { showProcess } from "../../shim/shown-process.ts";

/** The pods of the world, each with an address, a ServiceAccount and a process of its own. */
export class Pods {
  readonly #world: ShimWorld;
  readonly #procFolder: string;
  readonly #role: string;
  #count = 0;

  constructor(world: ShimWorld, procFolder: string, role: string) {
    this.#world = world;
    this.#procFolder = procFolder;
    this.#role = role;
  }

  /** @returns its address. */
  async add(role = this.#role): Promise<string> {
    this.#count += 1;
    const name = `pod-${this.#count}`;
    const address = `10.1.0.${this.#count + 1}`;
    const uid = randomUUID();
    // All pods of this test are in one network namespace.
    await showProcess(this.#procFolder, this.#count, { podUid: uid, net: "/proc/self/net" });
    this.#world.serviceAccount(name, role);
    this.#world.pod(name, address, { uid });
    return address;
  }
}
