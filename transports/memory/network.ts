/**
 * A network inside one process, with every fault that a real one has and one seed that decides them all.
 *
 * Guarantees: only bytes cross, copied at the hand-over, so that members share no memory; a handler is called from the
 * scheduler only, never from within a call of its own; without reorder faults a link keeps the order; on a virtual
 * scheduler the same seed and the same calls give the same run, byte for byte.
 *
 * Fault model: lossy, duplicating, reordering links with arbitrary delay; partitions (also one-way) and clogged links, which
 * nobody is told of; members that crash, restart as a new life, and pause. Packets are never altered.
 */
import type { Address } from "../../core/base/ids.ts";
import { TuttiError } from "../../core/base/errors.ts";
import { Random } from "../../core/base/random.ts";
import type { Transport } from "../../core/runtime/transport.ts";
import { canonicalAddress, Endpoint, type EndpointNetwork } from "./endpoint.ts";
import { completeFaults, type LinkFaults } from "./faults.ts";
import { Link } from "./link.ts";
import { realScheduler, type Scheduler } from "./scheduler.ts";
import { Transit } from "./transit.ts";

const PACKET_BYTES_MAX = 16 * 1024 * 1024;
const HELD_PACKETS_MAX = 100_000;
const VIRTUAL_REACHABLE_DELAY_MS = 5;

/** Options of {@link MemoryNetwork}. */
export interface MemoryNetworkOptions {
  /** Its time; real time by default. */
  readonly scheduler?: Scheduler;
  /** Decides all faults. Default 1. */
  readonly seed?: number;
  /** Faults of every link that has none of its own. Default none. */
  readonly faults?: LinkFaults;
  /** Whether its adapters call themselves lossy: say so when faults, cuts or clogs come later. Default: `faults` lose. */
  readonly lossy?: boolean;
  /** Largest packet in bytes; a larger one is dropped and counted. Default 16 MiB. */
  readonly packetBytesMax?: number;
  /** Most packets on their way on one link, above which a send is answered `full`. Default unlimited. */
  readonly queuePacketsMax?: number;
  /** Most packets held at one clogged link or for one paused member. Default 100,000. */
  readonly heldPacketsMax?: number;
  /** From a change of a path to the call of `reachable`, in milliseconds. Default 0, with a given scheduler 5. */
  readonly reachableDelayMs?: number;
  /**
   * Gets what a handler throws; by default that is only counted, as `handlerErrors`. What this throws comes out of the
   * scheduler: a simulation can stop there.
   */
  readonly onHandlerError?: (error: unknown) => void;
}

/**
 * A network of bytes between members of one process.
 *
 * @example
 * ```ts
 * import { MemoryNetwork, VirtualScheduler } from "@tutti/tutti/memory";
 *
 * const network = new MemoryNetwork({ scheduler: new VirtualScheduler(), seed: 7 });
 * const a = network.transport("memory:a");
 * network.setFaults({ delayMs: [1, 30], lossRate: 0.1 });
 * network.partition(["memory:a"], ["memory:b", "memory:c"]);
 * network.calm();
 * console.assert(a.traits.name === "memory");
 * ```
 */
export class MemoryNetwork {
  readonly #scheduler: Scheduler;
  readonly #transit: Transit;
  readonly #reachableDelayMs: number;
  readonly #endpoints: Map<Address, Endpoint> = new Map();
  readonly #links: Map<Address, Map<Address, Link>> = new Map();
  readonly #port: EndpointNetwork;

  /**
   * Makes a network without members.
   *
   * @param options Time, seed, faults and limits.
   * @throws {TuttiError} `InvalidArgument` when a fault or limit is out of range
   */
  constructor(options: MemoryNetworkOptions = {}) {
    this.#scheduler = options.scheduler ?? realScheduler();
    const faults = completeFaults(options.faults ?? {});
    this.#transit = new Transit({
      scheduler: this.#scheduler,
      random: new Random(options.seed ?? 1),
      queuePacketsMax: countLimit("queuePacketsMax", options.queuePacketsMax ?? Infinity),
      heldPacketsMax: countLimit("heldPacketsMax", options.heldPacketsMax ?? HELD_PACKETS_MAX),
      onHandlerError: options.onHandlerError,
    }, faults);
    const delayMs = options.reachableDelayMs ??
      (options.scheduler === undefined ? 0 : VIRTUAL_REACHABLE_DELAY_MS);
    if (!(delayMs >= 0 && delayMs < Infinity)) {
      throw new TuttiError(
        "InvalidArgument",
        `Cannot make a network: reachableDelayMs is ${delayMs}; use 0 or more`,
      );
    }
    this.#reachableDelayMs = delayMs;
    this.#port = {
      lossy: options.lossy ?? faults.lossRate > 0,
      packetBytesMax: countLimit("packetBytesMax", options.packetBytesMax ?? PACKET_BYTES_MAX),
      opened: (endpoint) => this.#opened(endpoint),
      closed: (endpoint) => this.#closed(endpoint),
      link: (from, to) => this.#link(from, to),
      pairChanged: (one, other) => this.#pairChanged(one, other),
      multicast: (from, packet) => this.#transit.multicast(from, packet),
      unicast: (from, peer, packet) => this.#transit.unicast(from, peer, packet),
      knock: (from, address) => this.#knock(from, address),
      released: (link) => this.#transit.drain(link),
    };
  }

  /**
   * An adapter for one life of a member. After its end, by `close` or by {@link MemoryNetwork.crash}, ask for a new one.
   *
   * @param address `memory:NAME`, NAME being 1 to 64 bytes of printable text without spaces.
   * @returns The adapter, not yet open.
   * @throws {TuttiError} `InvalidAddress`
   */
  transport(address: string): Transport {
    return new Endpoint(this.#port, canonicalAddress(address));
  }

  /**
   * Replaces the faults of every link that has none of its own, for packets sent from now on.
   *
   * @param faults What goes wrong; `{}` for nothing.
   * @throws {TuttiError} `InvalidArgument`
   */
  setFaults(faults: LinkFaults): void {
    this.#transit.faults = completeFaults(faults);
  }

  /**
   * Gives one direction of one link faults of its own, in place of those of the network.
   *
   * @param from Address of the sending end.
   * @param to Address of the receiving end.
   * @param faults What goes wrong; `undefined` for what goes wrong everywhere.
   * @throws {TuttiError} `InvalidArgument`, `InvalidAddress`
   */
  setLinkFaults(from: string, to: string, faults: LinkFaults | undefined): void {
    this.#named(from, to).faults = faults === undefined ? undefined : completeFaults(faults);
  }

  /**
   * Holds what arrives on one direction of a link until {@link MemoryNetwork.unclog}; over the limit the oldest is
   * dropped. Nobody is told.
   *
   * @param from Address of the sending end.
   * @param to Address of the receiving end.
   * @throws {TuttiError} `InvalidAddress`
   */
  clog(from: string, to: string): void {
    const link = this.#named(from, to);
    link.clogged = true;
    link.cancelFlush?.();
    link.cancelFlush = undefined;
  }

  /**
   * Hands over what a clogged link holds, in order, as soon as the scheduler runs.
   *
   * @param from Address of the sending end.
   * @param to Address of the receiving end.
   * @throws {TuttiError} `InvalidAddress`
   */
  unclog(from: string, to: string): void {
    this.#transit.unclog(this.#named(from, to));
  }

  /**
   * Cuts one direction of a link: packets on their way and those sent from now on are lost. Nobody is told.
   *
   * @param from Address of the sending end.
   * @param to Address of the receiving end.
   * @throws {TuttiError} `InvalidAddress`
   */
  block(from: string, to: string): void {
    this.#named(from, to).blocked = true;
  }

  /**
   * Ends what {@link MemoryNetwork.block} began, on one direction of a link.
   *
   * @param from Address of the sending end.
   * @param to Address of the receiving end.
   * @throws {TuttiError} `InvalidAddress`
   */
  unblock(from: string, to: string): void {
    this.#named(from, to).blocked = false;
  }

  /**
   * Cuts every link between two groups, in both directions. Adds to cuts that exist; links within a group stay.
   *
   * @param groupA Addresses on one side.
   * @param groupB Addresses on the other side.
   * @throws {TuttiError} `InvalidAddress`
   */
  partition(groupA: readonly string[], groupB: readonly string[]): void {
    for (const a of groupA) {
      for (const b of groupB) {
        if (a === b) continue;
        this.block(a, b);
        this.block(b, a);
      }
    }
  }

  /** Ends every cut, by `block` and by `partition`. */
  heal(): void {
    for (const link of this.#allLinks()) link.blocked = false;
  }

  /** Ends every fault: no fault on any link, no cut, no clog, nobody paused. The dead stay dead. */
  calm(): void {
    this.#transit.faults = completeFaults({});
    for (const link of this.#allLinks()) {
      link.faults = undefined;
      link.blocked = false;
      this.#transit.unclog(link);
    }
    for (const endpoint of this.#endpoints.values()) this.#transit.resume(endpoint);
  }

  /**
   * Ends a member's life without a word: its handler is never called again and what is on its way to it is lost; what
   * it has sent stays on its way. A new `transport(address)` may be opened at once: a restart.
   *
   * @param address Whose; one that is not open is ignored.
   */
  crash(address: string): void {
    this.#endpoints.get(address as Address)?.end();
  }

  /**
   * Stops the calls of a member's handler; they wait in order. Packets over the limit are dropped.
   *
   * @param address Whose; one that is not open is ignored.
   */
  pause(address: string): void {
    const endpoint = this.#endpoints.get(address as Address);
    if (endpoint === undefined) return;
    endpoint.paused = true;
    endpoint.cancelFlush?.();
    endpoint.cancelFlush = undefined;
  }

  /**
   * Hands a paused member what waited, in order, as soon as the scheduler runs.
   *
   * @param address Whose; one that is not open or not paused is ignored.
   */
  resume(address: string): void {
    const endpoint = this.#endpoints.get(address as Address);
    if (endpoint !== undefined) this.#transit.resume(endpoint);
  }

  /**
   * Counters of the whole network: copies of packets by what became of them. Only growing, but for `...Now`.
   *
   * @returns `packets` sent, `delivered`, `lost` to loss faults, `duplicated`, `reordered`, `blocked` by cuts, `dead` (the
   *   receiver was gone), `clogDropped`, `pauseDropped`, `inFlightNow`.
   */
  stats(): Readonly<Record<string, number>> {
    let inFlightNow = 0;
    for (const link of this.#allLinks()) inFlightNow += link.inFlightCount;
    return { ...this.#transit.counts, inFlightNow };
  }

  #link(from: Address, to: Address): Link {
    let links = this.#links.get(from);
    if (links === undefined) this.#links.set(from, links = new Map());
    let link = links.get(to);
    if (link === undefined) links.set(to, link = new Link(from, to));
    return link;
  }

  #named(from: string, to: string): Link {
    return this.#link(canonicalAddress(from), canonicalAddress(to));
  }

  *#allLinks(): Generator<Link> {
    for (const links of this.#links.values()) yield* links.values();
  }

  // ---- who reaches whom ----

  #opened(endpoint: Endpoint): void {
    if (this.#endpoints.has(endpoint.address)) {
      throw new TuttiError(
        "AddressInUse",
        `Cannot open ${endpoint.address}: another member has it; close that one or take another name`,
        { retryable: true },
      );
    }
    this.#endpoints.set(endpoint.address, endpoint);
  }

  #closed(endpoint: Endpoint): void {
    this.#endpoints.delete(endpoint.address);
    endpoint.cancelFlush?.();
    for (const entry of endpoint.held.splice(0)) {
      if (entry.kind === "packet") this.#transit.drop(entry.packet, "dead");
    }
    for (const link of this.#allLinks()) {
      if (link.to !== endpoint.address || link.held.length === 0) continue;
      for (const packet of link.held.splice(0)) this.#transit.drop(packet, "dead");
    }
    for (const peer of endpoint.peers.keys()) this.#pairChanged(endpoint, peer);
  }

  #pairChanged(one: Endpoint, otherAddress: Address): void {
    const other = this.#endpoints.get(otherAddress);
    if (other === undefined) return;
    const up = one.handler !== undefined && one.peers.has(otherAddress) && other.peers.has(one.address);
    this.#find(one, otherAddress, up ? other : undefined);
    this.#find(other, one.address, up ? one : undefined);
  }

  /** One end sends to another that does not reach for it: that other hears who it was, if the way there is open. */
  #knock(from: Endpoint, address: Address): void {
    const to = this.#endpoints.get(address);
    if (from.handler === undefined || to?.handler === undefined) return;
    if (!from.peers.has(address) || to.peers.has(from.address) || this.#link(from.address, address).blocked) {
      return;
    }
    this.#scheduler.at(
      this.#scheduler.now() + this.#reachableDelayMs,
      () => {
        if (to.peers.has(from.address) || !from.peers.has(to.address)) return;
        this.#transit.hand(to, { kind: "stranger", address: from.address });
      },
    );
  }

  /** Notes a change of a path and tells the handler after the delay; equal delays keep the order of the changes. */
  #find(endpoint: Endpoint, address: Address, life: Endpoint | undefined): void {
    const peer = endpoint.peers.get(address);
    if (peer === undefined || endpoint.handler === undefined || peer.found === life) return;
    peer.found = life;
    this.#scheduler.at(
      this.#scheduler.now() + this.#reachableDelayMs,
      () => this.#transit.hand(endpoint, { kind: "reachable", peer, life }),
    );
  }
}

function countLimit(name: string, limit: number): number {
  if (limit === Infinity || (Number.isSafeInteger(limit) && limit > 0)) return limit;
  throw new TuttiError(
    "InvalidArgument",
    `Cannot make a network: ${name} is ${limit}; use a whole number above 0`,
  );
}
