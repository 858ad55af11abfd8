/** What the conformance suite needs from an adapter's tests, and what it gives back. */
import type { Transport } from "../../runtime/transport.ts";
import type { Address } from "../../base/ids.ts";

/** One adapter, not yet opened, and the address that its `open` will return. */
export interface HarnessMember {
  /** The adapter. The suite opens and closes it. */
  readonly transport: Transport;
  /** Where peers will reach it, in canonical form. */
  readonly address: Address;
}

/**
 * How the suite makes adapters. An adapter's tests implement this and run the cases with any test runner.
 *
 * @example
 * ```ts ignore
 * const harness: TransportHarness = {
 *   name: "memory",
 *   create: () => {
 *     const address = `memory:${next++}` as Address;
 *     return Promise.resolve({ transport: memory({ network, address }), address });
 *   },
 *   recreate: (address) => Promise.resolve({ transport: memory({ network, address }), address }),
 *   addresses: { same: [["memory:a", "memory:a"]], malformed: ["", "tcp:1"], unused: "memory:nobody" },
 * };
 * ```
 */
export interface TransportHarness {
  /** The first word of every case's name. */
  readonly name: string;
  /** A new adapter with an address that nobody uses yet. */
  create(): Promise<HarnessMember>;
  /** A new adapter for an address that a former one used, as after a restart. */
  recreate(address: Address): Promise<HarnessMember>;
  /** Spellings to try. */
  readonly addresses: {
    /** Pairs of (spelling, canonical form). */
    readonly same: readonly (readonly [string, string])[];
    /** Texts that `canonical` must refuse. The suite adds the empty text, spaces, a newline and 1 MB of text. */
    readonly malformed: readonly string[];
    /** A well-formed canonical address at which nobody listens. */
    readonly unused: string;
  };
  /** Longest wait for one condition, in milliseconds. Default 10,000. */
  readonly deadlineMs?: number;
  /** Packets of the burst test. Default 10,000. */
  readonly burst?: number;
  /** Rounds of fresh members in the first-multicast test. Default 10. */
  readonly rounds?: number;
}

/** How the suite for groups makes adapters: a {@link TransportHarness} will do. */
export interface GroupHarness {
  /** The first word of every case's name. */
  readonly name: string;
  /** A new adapter with an address that nobody uses yet. */
  create(): Promise<HarnessMember>;
  /** A new adapter for an address that a former one used, as after a restart. */
  recreate(address: Address): Promise<HarnessMember>;
  /** Longest wait for one condition, in milliseconds. Default 30,000. */
  readonly deadlineMs?: number;
}

/** One case: run it, and it throws with what went wrong. Cases are independent and leave nothing open. */
export interface ConformanceCase {
  /** "zeromq: thing does X when Y". */
  readonly name: string;
  /** Runs the case. */
  run(): Promise<void>;
}
