/**
 * The in-process transport: a network of bytes between members of one process, for tests, simulations and pages.
 *
 * @example Two members on one network
 * ```ts
 * import { MemoryNetwork, VirtualScheduler } from "@tutti/tutti/memory";
 *
 * const scheduler = new VirtualScheduler();
 * const network = new MemoryNetwork({ scheduler, seed: 7, faults: { delayMs: [1, 5] } });
 * const a = network.transport("memory:a");
 * const b = network.transport("memory:b");
 * const received: number[] = [];
 * const silent = { packet(): void {}, drain(): void {}, reachable(): void {} };
 * const addressA = await a.open(silent);
 * const addressB = await b.open({ ...silent, packet: (bytes: Uint8Array) => received.push(bytes[0]) });
 * a.connect(addressB);
 * b.connect(addressA);
 * scheduler.runUntil(100);
 * a.multicast(new Uint8Array([42]));
 * scheduler.runUntil(200);
 * console.assert(received[0] === 42);
 * ```
 *
 * @module
 */
import type { Transport } from "../../core/runtime/transport.ts";
import { MemoryNetwork } from "./network.ts";

export type { LinkFaults } from "./faults.ts";
export { MemoryNetwork, type MemoryNetworkOptions } from "./network.ts";
export { type Cancel, realScheduler, type Scheduler, VirtualScheduler } from "./scheduler.ts";

let processNetwork: MemoryNetwork | undefined;

/**
 * An adapter for a member of this process.
 *
 * @param name The member's name on the network, 1 to 64 bytes of printable text without spaces; its address is
 *   `memory:NAME`.
 * @param network Where it lives; by default one network without faults that all of this process shares.
 * @returns The adapter, not yet open.
 * @throws {TuttiError} `InvalidAddress` when the name is malformed
 *
 * @example
 * ```ts
 * import { memory } from "@tutti/tutti/memory";
 *
 * const transport = memory("P1");
 * console.assert(transport.canonical("memory:P1") === "memory:P1");
 * ```
 */
export function memory(name: string, network?: MemoryNetwork): Transport {
  processNetwork ??= new MemoryNetwork();
  return (network ?? processNetwork).transport(`memory:${name}`);
}
