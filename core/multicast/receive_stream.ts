/**
 * The receiving half of reliable multicast: what one life (incarnation) of one member sends, as held here.
 *
 * Guarantees: each sequence is handed on exactly once, in order, without a gap (W12); duplicates are recognised by the
 * received-through mark alone, however old they are (W17); packets are kept until the stream is stable, so that this
 * member can serve others when the origin is gone; everything kept is bounded by the window that this member announced
 * (H17, H53).
 *
 * Gaps are asked for by NAK after a random delay, with exponential back-off, first from the origin and then from any
 * other holder. Source: Floyd et al., "A Reliable Multicast Framework" (SRM), 1997; RFC 5740 (NORM).
 */
import { copyBytes } from "../base/bytes.ts";
import type { BufferPool } from "../base/buffer_pool.ts";
import type { Random } from "../base/random.ts";
import type { Assembly } from "./assembly.ts";
import { PacketStore } from "./packet_store.ts";

/** How NAKs are timed, in milliseconds. */
export interface NakTiming {
  /** Shortest delay before the first NAK for a gap. */
  readonly nakDelayMinMs: number;
  /** Longest delay before the first NAK for a gap. */
  readonly nakDelayMaxMs: number;
  /** Longest time between two NAKs for the same gap. */
  readonly nakBackoffMaxMs: number;
}

/** What `accept` decided about a packet of DATA messages. */
export type Acceptance = "next" | "ahead" | "duplicate" | "beyond";

/** Bounds of one stream at a receiver. */
export interface ReceiveBounds {
  /** Most messages beyond what the application has taken. */
  readonly windowMessages: number;
  /** Most bytes of packets held. */
  readonly heldBytesMax: number;
}

/** One life of one member, as a stream of messages. */
export class ReceiveStream {
  /** Rank of the member in the present view. */
  rank: number;
  /** The life of it that sends this stream. */
  readonly incarnation: number;
  /** Packets held: received and not yet stable, or ahead of a gap. */
  readonly store: PacketStore;
  /** Everything from the base up to here was received. */
  received: number;
  /** Everything from the base up to here was handed to the order stage. */
  handed: number;
  /** Everything up to here was released to the application, in order. */
  released: number;
  /** The last message that was released. What lies behind it, up to `released`, is not for the application. */
  lastMessage: number;
  /** Everything up to here was taken by the application. */
  delivered: number;
  /** Everything up to here is in the journal, if there is one. */
  logged: number;
  /** Up to here, messages may have been delivered by a former run of this process. */
  replayedThrough = 0;
  /** Everything up to here was delivered by all, as the origin (or everybody else) says. */
  stable: number;
  /** The highest sequence known to exist. */
  known: number;
  /** A message of which some fragments were handed on, and more is to come. */
  partial: Assembly | undefined = undefined;
  /** Nothing beyond this is handed to the order stage: set by the wedge, moved on by the cut. */
  through: number = Infinity;
  /** Messages received since the last acknowledgement. */
  unacknowledged = 0;
  /** Whether the sender seems to have missed the last acknowledgement. */
  acknowledgementWanted = false;
  /** Delivered-through in the last acknowledgement. */
  acknowledgedDelivered: number;
  /** When the last acknowledgement was sent. */
  acknowledgedAt: number = -Infinity;
  /** When to send the next NAK; `Infinity` when nothing is missing. */
  nakAt: number = Infinity;
  /** NAKs sent for the present gap. */
  nakAttempts = 0;
  /** What was missing when the NAK was scheduled: asked for only if it still is when the time comes. */
  nakTarget = 0;

  /** Everything up to here is wanted for a cut, whatever the bounds: the senders' windows bound it. */
  #fetched = 0;
  readonly #bounds: ReceiveBounds;
  readonly #timing: NakTiming;
  readonly #random: Random;
  readonly #pool: BufferPool | undefined;

  /**
   * @param base First sequence that this member needs.
   * @param pool Lends the memory for what is kept.
   */
  constructor(
    rank: number,
    incarnation: number,
    base: number,
    bounds: ReceiveBounds,
    timing: NakTiming,
    random: Random,
    pool?: BufferPool,
  ) {
    this.store = new PacketStore(pool);
    this.#pool = pool;
    this.rank = rank;
    this.incarnation = incarnation;
    this.#bounds = bounds;
    this.#timing = timing;
    this.#random = random;
    this.received = base - 1;
    this.handed = base - 1;
    this.released = base - 1;
    this.lastMessage = base - 1;
    this.delivered = base - 1;
    this.logged = base - 1;
    this.acknowledgedDelivered = base - 1;
    this.stable = base - 1;
    this.known = base - 1;
  }

  /** Judges a packet that carries the sequences `first` to `last`, and keeps a copy of it if it is news. */
  accept(first: number, last: number, packet: Uint8Array): Acceptance {
    if (this.isDuplicate(last)) return "duplicate";
    const fetched = last <= this.#fetched;
    if (!fetched && last > this.delivered + this.#bounds.windowMessages) return "beyond";
    if (first > this.received + 1 && this.store.covers(first, last)) return "duplicate";
    // What the gap needs next is always let in: else a store full of later packets could never be emptied.
    if (first > this.received + 1 && this.store.bytes + packet.length > this.#bounds.heldBytesMax) {
      return "beyond";
    }
    if (!fetched && this.store.bytes > 2 * this.#bounds.heldBytesMax) return "beyond";
    this.store.add(first, last, this.#pool?.copy(packet) ?? copyBytes(packet));
    if (last > this.known) this.known = last;
    if (first > this.received + 1) return "ahead";
    this.unacknowledged += last - this.received;
    this.received = this.extent(last);
    return "next";
  }

  /** Takes a packet from the own disk: it was judged before. */
  recover(first: number, last: number, packet: Uint8Array): void {
    this.store.add(first, last, this.#pool?.copy(packet) ?? copyBytes(packet));
    if (last > this.known) this.known = last;
    if (first <= this.received + 1 && last > this.received) this.received = this.extent(last);
    this.logged = this.received;
    this.replayedThrough = this.received;
  }

  /** This member has delivered everything up to a sequence. */
  resume(released: number): void {
    this.handed = released;
    this.released = released;
    this.lastMessage = released;
    this.delivered = released;
    if (this.received < released) this.received = released;
    if (this.known < released) this.known = released;
    this.logged = this.received;
  }

  /** Whether everything up to `last` was received before. */
  isDuplicate(last: number): boolean {
    return last <= this.received;
  }

  /** Received-through once everything up to `last` is here: packets ahead of the former gap now count. */
  extent(last: number): number {
    return this.store.firstMissing(last + 1) - 1;
  }

  /** The application has taken a message, and with it what lies behind it and is not for the application. */
  take(sequence: number): void {
    if (sequence > this.delivered) this.delivered = sequence;
    if (this.delivered >= this.lastMessage && this.released > this.delivered) this.delivered = this.released;
  }

  /** Whether the sender is to be told something. */
  get owesAcknowledgement(): boolean {
    return this.unacknowledged > 0 || this.acknowledgementWanted ||
      this.delivered > this.acknowledgedDelivered;
  }

  /** An acknowledgement of everything so far was sent. */
  acknowledged(now: number): void {
    this.unacknowledged = 0;
    this.acknowledgementWanted = false;
    this.acknowledgedDelivered = this.delivered;
    this.acknowledgedAt = now;
  }

  /** Learns that sequences up to `known` exist, and sets the NAK timer when something is missing. */
  learn(known: number, now: number): void {
    const limit = this.delivered + this.#bounds.windowMessages;
    if (known > this.known) this.known = known < limit ? known : limit;
    this.schedule(now);
  }

  /** Sets or clears the NAK timer. */
  schedule(now: number): void {
    if (this.received >= this.known) {
      this.nakAt = Infinity;
      this.nakAttempts = 0;
    } else if (this.nakAt === Infinity) {
      this.nakTarget = this.known;
      this.nakAt = now + this.#random.between(this.#timing.nakDelayMinMs, this.#timing.nakDelayMaxMs);
    }
  }

  /**
   * When the NAK timer has run out: the missing ranges, as pairs, and the timer set again with back-off.
   *
   * @returns Pairs of first and last missing sequence; empty when what was missing has come meanwhile.
   */
  missing(now: number, pairsMax: number): number[] {
    if (this.received >= this.nakTarget) { // that gap is closed; a younger one starts anew
      this.nakAt = Infinity;
      this.nakAttempts = 0;
      this.schedule(now);
      return [];
    }
    this.nakAttempts++;
    this.nakTarget = this.known;
    this.nakAt = now + this.backoff();
    return this.store.gaps(this.received + 1, this.known, pairsMax);
  }

  /** Time until the next NAK for the same gap, in milliseconds: doubled each time, with jitter. */
  backoff(): number {
    const doubled = this.#timing.nakDelayMaxMs * 2 ** Math.min(this.nakAttempts, 10);
    return Math.min(doubled, this.#timing.nakBackoffMaxMs) * this.#random.between(0.75, 1.25);
  }

  /** The view changes: asks anew, at once, whoever there is to ask. */
  retarget(last: number, now: number): void {
    this.known = Math.max(this.received, last);
    this.#fetched = last;
    this.nakAttempts = 0;
    this.nakTarget = this.known;
    this.nakAt = this.received < this.known ? now : Infinity;
  }

  /** The gap got smaller: ask for the rest soon. */
  progressed(now: number): void {
    this.nakAttempts = 0;
    this.nakAt = Infinity;
    this.schedule(now);
  }

  /** Learns that all have delivered up to `stable`, and drops what nobody needs any more. */
  settle(stable: number): void {
    if (stable <= this.stable) return;
    this.stable = stable < this.delivered ? stable : this.delivered;
    this.store.pruneThrough(this.stable);
  }
}
