/**
 * The Transport port: what an adapter must do for a group, and nothing more.
 *
 * An adapter moves packets (opaque bytes). It knows nothing of messages, order, members' names or retransmission; the
 * packets carry their own identity. It may lose, repeat and reorder packets, but never alter one, and it must keep a
 * packet whole: one `multicast` or `unicast` is one `packet` call at a receiver.
 */
import type { Address } from "../base/ids.ts";

/** What became of a packet handed to an adapter: on its way, no room now (`drain` follows), or no path to the peer. */
export type SendStatus = "sent" | "full" | "unreachable";

/** What an adapter is. */
export interface TransportTraits {
  /** Short name for people: `zeromq`, `memory`, `udp`. */
  readonly name: string;
  /** Whether one `multicast` is one operation of the network (`native`) or one copy for each peer (`fan-out`). */
  readonly multicast: "native" | "fan-out";
  /** Whether packets can be lost while both ends are up and connected. */
  readonly lossy: boolean;
  /** Largest packet that it carries, in bytes. */
  readonly packetBytesMax: number;
  /** Largest packet that it carries at no extra cost or risk, in bytes: messages are bundled up to there. Default: the largest. */
  readonly packetBytesBest?: number;
}

/** What an adapter calls. All calls come from the event loop, never from within `multicast` or `unicast`. */
export interface TransportHandler {
  /**
   * A packet arrived. The bytes belong to the handler from now on: the adapter never reuses them.
   *
   * @param more Whether another one is here already and follows at once, so that what follows from this one may wait for it: a
   *   handful are answered together. Left out: it is not known. Should it not follow after all, nothing is lost but a moment.
   */
  packet(bytes: Uint8Array, more?: boolean): void;
  /** After a `full`: there is room again. */
  drain(): void;
  /**
   * The path to a peer, in both directions and for both multicast and unicast, was established (`true`) or lost
   * (`false`). Called once per change. A peer that restarts may go straight to a new `true` or through `false`.
   */
  reachable(peer: Address, up: boolean): void;
  /**
   * Somebody that this adapter does not reach for reaches for it, under this address. Called now and then while that is so.
   * Its packets are sure to be heard only once the handler has called `connect`.
   */
  stranger?(peer: Address): void;
}

/** The port. An adapter is opened once and closed once. */
export interface Transport {
  /** What it is. */
  readonly traits: TransportTraits;

  /**
   * Binds and starts receiving.
   *
   * @returns The address under which peers reach this member, in canonical form.
   * @throws {TuttiError} `InvalidAddress`, `AddressInUse`, `Unsupported`
   */
  open(handler: TransportHandler): Promise<Address>;

  /**
   * The canonical form of an address of this adapter, so that two spellings of one endpoint compare equal.
   *
   * @throws {TuttiError} `InvalidAddress`, with what is wrong in the text
   */
  canonical(address: string): Address;

  /** Starts reaching for a peer and keeps at it (the peer may not exist yet, or may come back) until `disconnect`. */
  connect(peer: Address): void;

  /** Stops reaching for a peer. Unknown peers are ignored. */
  disconnect(peer: Address): void;

  /** Sends to every connected peer, not to itself. The bytes must not change afterwards. Never throws, never waits. */
  multicast(packet: Uint8Array): SendStatus;

  /** Sends to one connected peer. The bytes must not change afterwards. Never throws, never waits. */
  unicast(to: Address, packet: Uint8Array): SendStatus;

  /** Counters for people: names of the adapter's choosing; only ever growing, except those that end in `Now`. */
  stats(): Readonly<Record<string, number>>;

  /**
   * Releases sockets, timers and files. What was handed over as `sent` is given up to `deadlineMs` milliseconds to
   * leave. Idempotent; never hangs.
   */
  close(deadlineMs: number): Promise<void>;
}
