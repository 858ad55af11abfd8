/** One directed link of a memory network: its faults, its clog, and what is on its way. */
import type { Address } from "../../core/base/ids.ts";
import type { Endpoint } from "./endpoint.ts";
import { type CompleteFaults, Pace } from "./faults.ts";

/** One copy of a packet on its way, or waiting at a clogged link or a paused member. */
export interface Packet {
  readonly link: Link;
  /** The life of the receiver that it is for; a later life of that address never gets it. */
  readonly target: Endpoint;
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
  waiting: Endpoint | undefined;
  /** When its packets arrive. */
  readonly pace: Pace = new Pace();

  constructor(from: Address, to: Address) {
    this.from = from;
    this.to = to;
  }
}
