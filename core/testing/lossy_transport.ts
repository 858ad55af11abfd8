/**
 * Any transport, made worse: loses, repeats, delays and reorders what it receives, so that the whole group can be run
 * over each real adapter under faults.
 *
 * Fault model: packets are lost, duplicated, delayed and overtaken; never altered. Reachability, strangers, drain and sending
 * stay those of the transport inside. Without a reorder fault the order in which the transport inside delivered is kept.
 */
import type { Address } from "../base/ids.ts";
import { Random } from "../base/random.ts";
import type { SendStatus, Transport, TransportHandler, TransportTraits } from "../runtime/transport.ts";
import {
  type CompleteFaults,
  completeFaults,
  happens,
  type LinkFaults,
  Pace,
} from "../../transports/memory/faults.ts";
import { type Cancel, realScheduler, type Scheduler } from "../../transports/memory/scheduler.ts";

/** Most delayed packets that wait at once; over it, packets are dropped and counted. */
const DELAYED_PACKETS_MAX = 100_000;

/** Options of {@link lossy}. */
export interface LossyOptions {
  /** The time of the delays; real time by default. */
  readonly scheduler?: Scheduler;
  /** Decides the faults. Default 1. */
  readonly seed?: number;
}

/** A transport with faults on its receiving side. */
export class LossyTransport implements Transport {
  /** Those of the transport inside, but lossy. */
  readonly traits: TransportTraits;
  readonly #inner: Transport;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #pace: Pace = new Pace();
  readonly #delayed: Set<Cancel> = new Set();
  #faults: CompleteFaults;
  #handler: TransportHandler | undefined;
  #lost = 0;
  #duplicated = 0;
  #reordered = 0;
  #overflowed = 0;
  #handlerErrors = 0;

  /**
   * Wraps a transport.
   *
   * @param inner The transport to wrap, not yet open.
   * @param faults What goes wrong with packets that it receives.
   * @param options Time and seed.
   * @throws {TuttiError} `InvalidArgument` when a fault is out of range
   */
  constructor(inner: Transport, faults: LinkFaults, options: LossyOptions = {}) {
    this.#inner = inner;
    this.#faults = completeFaults(faults);
    this.#scheduler = options.scheduler ?? realScheduler();
    this.#random = new Random(options.seed ?? 1);
    this.traits = { ...inner.traits, name: `lossy(${inner.traits.name})`, lossy: true };
  }

  /**
   * Replaces the faults, for packets received from now on.
   *
   * @param faults What goes wrong; `{}` for nothing.
   * @throws {TuttiError} `InvalidArgument`
   */
  setFaults(faults: LinkFaults): void {
    this.#faults = completeFaults(faults);
  }

  /** Opens the transport inside; see {@link Transport.open}. */
  open(handler: TransportHandler): Promise<Address> {
    this.#handler = handler;
    return this.#inner.open({
      packet: (bytes) => this.#receive(bytes),
      drain: () => handler.drain(),
      reachable: (peer, up) => handler.reachable(peer, up),
      stranger: (peer) => handler.stranger?.(peer),
    });
  }

  /** See {@link Transport.canonical}. */
  canonical(address: string): Address {
    return this.#inner.canonical(address);
  }

  /** See {@link Transport.connect}. */
  connect(peer: Address): void {
    this.#inner.connect(peer);
  }

  /** See {@link Transport.disconnect}. */
  disconnect(peer: Address): void {
    this.#inner.disconnect(peer);
  }

  /** See {@link Transport.multicast}. */
  multicast(packet: Uint8Array): SendStatus {
    return this.#inner.multicast(packet);
  }

  /** See {@link Transport.unicast}. */
  unicast(to: Address, packet: Uint8Array): SendStatus {
    return this.#inner.unicast(to, packet);
  }

  /**
   * Counters for people.
   *
   * @returns Those of the transport inside, and `faultLost`, `faultDuplicated`, `faultReordered`, `faultOverflowed`,
   *   `faultHandlerErrors`, `faultDelayedNow`.
   */
  stats(): Readonly<Record<string, number>> {
    return {
      ...this.#inner.stats(),
      faultLost: this.#lost,
      faultDuplicated: this.#duplicated,
      faultReordered: this.#reordered,
      faultOverflowed: this.#overflowed,
      faultHandlerErrors: this.#handlerErrors,
      faultDelayedNow: this.#delayed.size,
    };
  }

  /** Drops what is delayed and closes the transport inside; see {@link Transport.close}. */
  close(deadlineMs: number): Promise<void> {
    this.#handler = undefined;
    for (const cancel of this.#delayed) cancel();
    this.#delayed.clear();
    return this.#inner.close(deadlineMs);
  }

  #receive(bytes: Uint8Array): void {
    if (happens(this.#faults.lossRate, this.#random)) {
      this.#lost++;
      return;
    }
    const twice = happens(this.#faults.duplicateRate, this.#random);
    // The handler owns what it gets, so the second one needs bytes of its own.
    const copy = twice ? bytes.slice() : undefined;
    this.#delay(bytes);
    if (copy === undefined) return;
    this.#duplicated++;
    this.#delay(copy);
  }

  #delay(bytes: Uint8Array): void {
    if (this.#delayed.size >= DELAYED_PACKETS_MAX) {
      this.#overflowed++;
      return;
    }
    const { time, reordered } = this.#pace.arrival(
      this.#faults,
      bytes.length,
      this.#scheduler.now(),
      this.#random,
    );
    if (reordered) this.#reordered++;
    const cancel = this.#scheduler.at(time, () => {
      this.#delayed.delete(cancel);
      try {
        this.#handler?.packet(bytes);
      } catch {
        this.#handlerErrors++;
      }
    });
    this.#delayed.add(cancel);
  }
}

/**
 * Wraps a transport so that it loses, repeats, delays and reorders what it receives.
 *
 * @param transport The transport to wrap, not yet open.
 * @param faults What goes wrong: rates from 0 to 1, times in milliseconds.
 * @param options Time and seed.
 * @returns The wrapped transport; its traits say `lossy`.
 * @throws {TuttiError} `InvalidArgument` when a fault is out of range
 *
 * @example
 * ```ts
 * import { lossy } from "@tutti/tutti/testing";
 * import { memory } from "@tutti/tutti/memory";
 *
 * const transport = lossy(memory("P1"), { lossRate: 0.2, delayMs: [0, 10] }, { seed: 7 });
 * console.assert(transport.traits.lossy);
 * ```
 */
export function lossy(transport: Transport, faults: LinkFaults, options: LossyOptions = {}): LossyTransport {
  return new LossyTransport(transport, faults, options);
}
