/** A member under test: an opened adapter, everything that it told its handler, and waits with a deadline. */
import type { SendStatus, Transport, TransportHandler } from "../../runtime/transport.ts";
import type { Address } from "../../base/ids.ts";
import type { HarnessMember, TransportHarness } from "./types.ts";

/** One opened adapter with its history. */
export interface Probe {
  readonly transport: Transport;
  readonly address: Address;
  readonly packets: Uint8Array[];
  readonly reachability: { readonly peer: Address; readonly up: boolean }[];
  /** Addresses that it was told of as strangers, as often as it was told. */
  readonly strangers: Address[];
  /** Handler calls that came from within `multicast` or `unicast`. */
  reentrantCalls: number;
  /** Handler calls of any kind. */
  calls: number;
  drains: number;
  /** While set, `packet` throws. */
  throwing: boolean;
  isUp(peer: Address): boolean;
  multicast(packet: Uint8Array): SendStatus;
  unicast(to: Address, packet: Uint8Array): SendStatus;
}

/** Opens an adapter and records what it does. */
export async function openProbe(member: HarnessMember): Promise<Probe> {
  let inside = false;
  const up = new Set<Address>();
  const called = (): void => {
    probe.calls++;
    if (inside) probe.reentrantCalls++;
  };
  const handler: TransportHandler = {
    packet: (bytes) => {
      called();
      probe.packets.push(bytes);
      if (probe.throwing) throw new Error("thrown by the handler on purpose");
    },
    drain: () => {
      called();
      probe.drains++;
    },
    reachable: (peer, isUp) => {
      called();
      if (isUp) up.add(peer);
      else up.delete(peer);
      probe.reachability.push({ peer, up: isUp });
    },
    stranger: (peer) => {
      called();
      probe.strangers.push(peer);
    },
  };
  const guarded = <Result>(call: () => Result): Result => {
    inside = true;
    try {
      return call();
    } finally {
      inside = false;
    }
  };
  const probe: Probe = {
    transport: member.transport,
    address: member.address,
    packets: [],
    reachability: [],
    strangers: [],
    reentrantCalls: 0,
    calls: 0,
    drains: 0,
    throwing: false,
    isUp: (peer) => up.has(peer),
    multicast: (packet) => guarded(() => member.transport.multicast(packet)),
    unicast: (to, packet) => guarded(() => member.transport.unicast(to, packet)),
  };
  const address = await member.transport.open(handler);
  check(address === member.address, `open returned ${address}, the harness promised ${member.address}`);
  return probe;
}

/** Throws with a text when a condition does not hold. */
export function check(condition: boolean, text: string | (() => string)): asserts condition {
  if (!condition) throw new Error(typeof text === "string" ? text : text());
}

/** One turn of the event loop: how the suite looks again, never how it decides. */
export function turn(milliseconds = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits for a condition, up to a deadline. */
export async function until(
  condition: () => boolean,
  text: string | (() => string),
  deadlineMs: number,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(`${typeof text === "string" ? text : text()}, within ${deadlineMs} ms`);
    }
    await turn(1);
  }
}

/** The members of one case: opens them, connects them, waits for conditions, and closes everything at the end. */
export class Bench {
  readonly #harness: TransportHarness;
  readonly #probes: Probe[] = [];

  constructor(harness: TransportHarness) {
    this.#harness = harness;
  }

  /** Opens one fresh member. */
  async open(): Promise<Probe> {
    const probe = await openProbe(await this.#harness.create());
    this.#probes.push(probe);
    return probe;
  }

  /** Opens a member again on an address that was in use before. */
  async reopen(address: Address): Promise<Probe> {
    const probe = await openProbe(await this.#harness.recreate(address));
    this.#probes.push(probe);
    return probe;
  }

  /** Opens `count` members that all reach each other. */
  async mesh(count: number): Promise<Probe[]> {
    const probes: Probe[] = [];
    for (let index = 0; index < count; index++) probes.push(await this.open());
    await this.join(...probes);
    return probes;
  }

  /** Connects every member with every other and waits until all say so. */
  async join(...probes: Probe[]): Promise<void> {
    for (const a of probes) {
      for (const b of probes) if (a !== b) a.transport.connect(b.address);
    }
    await this.until(
      () => probes.every((a) => probes.every((b) => a === b || a.isUp(b.address))),
      () =>
        "not all members became reachable: " +
        probes.flatMap((a) =>
          probes.filter((b) => a !== b && !a.isUp(b.address)).map((b) => `${a.address} lacks ${b.address}`)
        ).join(", "),
    );
  }

  /** Waits for a condition up to the harness' deadline. */
  until(condition: () => boolean, text: string | (() => string)): Promise<void> {
    return until(condition, text, this.#harness.deadlineMs ?? 10_000);
  }

  /** Closes everything; itself an assertion that close comes back. */
  async close(): Promise<void> {
    await Promise.all(this.#probes.map((probe) => probe.transport.close(500)));
  }
}
