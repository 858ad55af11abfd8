/**
 * What a memory network is made of: directed links, the packets on them, and the lives of members at their ends.
 *
 * Plain state; `transit.ts` moves packets through it, `network.ts` decides who is there and who reaches whom.
 */
import type { Address } from "../../core/base/ids.ts";
import type { TransportHandler } from "../../core/runtime/transport.ts";
import { type CompleteFaults, Pace } from "./faults.ts";

/** One copy of a packet on its way, or waiting at a clogged link or a paused member. */
export interface Packet {
  readonly link: Link;
  /** The life of the receiver that it is for; a later life of that address never gets it. */
  readonly target: Life;
  readonly bytes: Uint8Array;
}

/** A directed link. It outlives its ends: faults set on it hold for whoever opens the address next. */
export class Link {
  /** Where it comes from. */
  readonly from: Address;
  /** Where it leads. */
  readonly to: Address;
  /** Faults of its own, which replace those of the network. */
  faults: CompleteFaults | undefined;
  /** Everything is lost. */
  blocked = false;
  /** Packets are held on arrival, until a flush. */
  clogged = false;
  /** Takes back a flush that `unclog` has asked for. */
  cancelFlush: (() => void) | undefined;
  /** Held packets, oldest first. */
  held: Packet[] = [];
  /** Packets that left and were neither handed over nor lost so far. */
  inFlightCount = 0;
  /** The sending life that was told `full` for this link and waits for `drain`. */
  waiting: Life | undefined;
  /** When its packets arrive. */
  readonly pace: Pace = new Pace();

  constructor(from: Address, to: Address) {
    this.from = from;
    this.to = to;
  }
}

/** A peer that a life reaches for. */
export interface Peer {
  readonly address: Address;
  /** The link to it. */
  readonly link: Link;
  /** The peer's life that the handler was told of by `reachable`; packets go to that life only. */
  target: Life | undefined;
  /** The peer's life that was last found connected in both directions; the handler hears of it a moment later. */
  found: Life | undefined;
}

/** Something for the handler that waits while the member is paused. */
export type Held =
  | { readonly kind: "packet"; readonly packet: Packet }
  | { readonly kind: "drain" }
  | { readonly kind: "stranger"; readonly address: Address }
  | { readonly kind: "reachable"; readonly peer: Peer; readonly life: Life | undefined };

/** Counters of one life. */
export interface LifeCounts {
  packetsSent: number;
  bytesSent: number;
  packetsReceived: number;
  bytesReceived: number;
  full: number;
  oversize: number;
  unreachable: number;
  handlerErrors: number;
}

/** One life of a member, as the network sees it. */
export interface Life {
  /** Its canonical address. */
  readonly address: Address;
  /** Who gets the calls, or `undefined` before it opens and after its end. */
  readonly handler: TransportHandler | undefined;
  /** Peers that it reaches for. */
  readonly peers: Map<Address, Peer>;
  /** While paused, what waits for the handler, oldest first. */
  readonly held: Held[];
  /** How many of `held` are packets. */
  heldPackets: number;
  /** Whether calls of the handler wait. */
  paused: boolean;
  /** Takes back a flush that `resume` has asked for. */
  cancelFlush: (() => void) | undefined;
  readonly counts: LifeCounts;
}
