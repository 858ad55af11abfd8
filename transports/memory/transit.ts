/**
 * Packets of a memory network on their way: sent, delayed, lost, held up, handed over.
 *
 * Guarantees: bytes are copied when they leave; a handler is called from the scheduler only; without reorder faults a
 * link keeps the order, also through a clog and a pause; all chance comes from the one random source handed in.
 */
import type { Random } from "../../core/base/random.ts";
import type { SendStatus } from "../../core/runtime/transport.ts";
import { type CompleteFaults, happens } from "./faults.ts";
import type { Held, Life, Link, Packet, Peer } from "./link.ts";
import type { Scheduler } from "./scheduler.ts";

/** What is counted on the way. */
export interface TransitCounts {
  packets: number;
  delivered: number;
  lost: number;
  duplicated: number;
  reordered: number;
  blocked: number;
  dead: number;
  clogDropped: number;
  pauseDropped: number;
}

/** What a {@link Transit} is told at birth. */
export interface TransitOptions {
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** Most packets on their way on one link. */
  readonly queuePacketsMax: number;
  /** Most packets held at one clogged link or for one paused member. */
  readonly heldPacketsMax: number;
  /** Gets what a handler throws. */
  readonly onHandlerError: ((error: unknown) => void) | undefined;
}

/** Moves packets over links, and everything else that a handler is told. */
export class Transit {
  /** Faults of every link that has none of its own. */
  faults: CompleteFaults;
  /** What became of the packets so far. */
  readonly counts: TransitCounts = {
    packets: 0,
    delivered: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    blocked: 0,
    dead: 0,
    clogDropped: 0,
    pauseDropped: 0,
  };
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #queuePacketsMax: number;
  readonly #heldPacketsMax: number;
  readonly #onHandlerError: ((error: unknown) => void) | undefined;

  constructor(options: TransitOptions, faults: CompleteFaults) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#queuePacketsMax = options.queuePacketsMax;
    this.#heldPacketsMax = options.heldPacketsMax;
    this.#onHandlerError = options.onHandlerError;
    this.faults = faults;
  }

  // ---- sending ----

  /** Sends to every peer. All or nothing: when one link is full nothing leaves, so that a repeated send gives nobody the packet twice. */
  multicast(from: Life, packet: Uint8Array): SendStatus {
    let full = false;
    for (const peer of from.peers.values()) {
      if (peer.target !== undefined && this.#isFull(from, peer.link)) full = true;
    }
    if (full) return "full";
    for (const peer of from.peers.values()) {
      if (peer.target !== undefined) this.#transmit(from, peer.link, peer.target, packet);
    }
    return "sent";
  }

  /** Sends to one peer. */
  unicast(from: Life, peer: Peer, packet: Uint8Array): SendStatus {
    if (peer.target === undefined) return "unreachable";
    if (this.#isFull(from, peer.link)) return "full";
    this.#transmit(from, peer.link, peer.target, packet);
    return "sent";
  }

  #isFull(from: Life, link: Link): boolean {
    if (link.inFlightCount < this.#queuePacketsMax) return false;
    link.waiting = from;
    from.counts.full++;
    return true;
  }

  #transmit(from: Life, link: Link, target: Life, packet: Uint8Array): void {
    from.counts.packetsSent++;
    from.counts.bytesSent += packet.length;
    this.counts.packets++;
    if (link.blocked) {
      this.counts.blocked++;
      return;
    }
    const faults = link.faults ?? this.faults;
    if (happens(faults.lossRate, this.#random)) {
      this.counts.lost++;
      return;
    }
    this.#launch(link, faults, target, packet);
    if (happens(faults.duplicateRate, this.#random)) {
      this.counts.duplicated++;
      this.#launch(link, faults, target, packet);
    }
  }

  #launch(link: Link, faults: CompleteFaults, target: Life, bytes: Uint8Array): void {
    const { time, reordered } = link.pace.arrival(faults, bytes.length, this.#scheduler.now(), this.#random);
    if (reordered) this.counts.reordered++;
    const packet: Packet = { link, target, bytes: new Uint8Array(bytes) };
    link.inFlightCount++;
    this.#scheduler.at(time, () => this.#arrive(packet));
  }

  // ---- arriving ----

  #arrive(packet: Packet): void {
    const { link, target } = packet;
    if (target.handler === undefined || !target.peers.has(link.from)) return this.drop(packet, "dead");
    if (link.blocked) return this.drop(packet, "blocked");
    if (link.clogged) {
      link.held.push(packet);
      if (link.held.length > this.#heldPacketsMax) this.drop(link.held.shift()!, "clogDropped");
      return;
    }
    this.hand(target, { kind: "packet", packet });
  }

  /** Calls a handler, at once or, while its member is paused, later; from the scheduler only. */
  hand(life: Life, entry: Held): void {
    if (life.handler === undefined) {
      if (entry.kind === "packet") this.drop(entry.packet, "dead");
      return;
    }
    if (!life.paused) return this.#call(life, entry);
    if (entry.kind === "packet") {
      if (life.heldPackets >= this.#heldPacketsMax) return this.drop(entry.packet, "pauseDropped");
      life.heldPackets++;
    }
    life.held.push(entry);
  }

  #call(life: Life, entry: Held): void {
    try {
      switch (entry.kind) {
        case "packet":
          this.#release(entry.packet.link);
          this.counts.delivered++;
          life.counts.packetsReceived++;
          life.counts.bytesReceived += entry.packet.bytes.length;
          life.handler?.packet(entry.packet.bytes);
          return;
        case "stranger":
          life.handler?.stranger?.(entry.address);
          return;
        case "drain":
          life.handler?.drain();
          return;
        case "reachable":
          this.#raise(life, entry.peer, entry.life);
          return;
      }
    } catch (error) {
      life.counts.handlerErrors++;
      this.#onHandlerError?.(error);
    }
  }

  #raise(life: Life, peer: Peer, target: Life | undefined): void {
    if (life.peers.get(peer.address) !== peer || peer.target === target) return;
    peer.target = target;
    if (target === undefined) this.drain(peer.link);
    life.handler?.reachable(peer.address, target !== undefined);
  }

  /** A packet ends on the way. */
  drop(packet: Packet, why: "dead" | "blocked" | "clogDropped" | "pauseDropped"): void {
    this.counts[why]++;
    this.#release(packet.link);
  }

  #release(link: Link): void {
    link.inFlightCount--;
    if (link.inFlightCount < this.#queuePacketsMax) this.drain(link);
  }

  /** Tells a sender that was refused on this link to try again. */
  drain(link: Link): void {
    const sender = link.waiting;
    if (sender === undefined) return;
    link.waiting = undefined;
    this.#scheduler.at(this.#scheduler.now(), () => this.hand(sender, { kind: "drain" }));
  }

  // ---- ends of clogs and pauses ----

  /** Ends a clog. The link stays clogged until the flush has run: what arrives in between must not overtake what is held. */
  unclog(link: Link): void {
    if (!link.clogged || link.cancelFlush !== undefined) return;
    link.cancelFlush = this.#scheduler.at(this.#scheduler.now(), () => {
      link.cancelFlush = undefined;
      link.clogged = false;
      const held = link.held;
      link.held = [];
      let index = 0;
      // A handler that is called here may clog the link again.
      while (index < held.length && !link.clogged) this.#arrive(held[index++]);
      if (index < held.length) link.held = held.slice(index).concat(link.held);
    });
  }

  /** Ends a pause. */
  resume(life: Life): void {
    if (!life.paused || life.cancelFlush !== undefined) return;
    life.cancelFlush = this.#scheduler.at(this.#scheduler.now(), () => {
      life.cancelFlush = undefined;
      life.paused = false;
      const held = life.held.splice(0);
      life.heldPackets = 0;
      // A handler that is called here may pause or crash the member: what is left waits again, or is dropped.
      for (const entry of held) this.hand(life, entry);
    });
  }
}
