/**
 * Packets put together again from their parts.
 *
 * Guarantees: a packet comes out once, and only as it went in (its checksum holds); memory is bounded, whatever is
 * thrown at it. Parts may be lost, repeated and reordered, and forged ones may be among them: a forged part can cost
 * the packets of the sender that it claims to be of, as loss would, and nothing else (H48).
 */
import { crc32 } from "node:zlib";
import type { Counters } from "./counters.ts";
import type { Boot, Fragment } from "./frames.ts";

/** Most packets of one sender that are unfinished; the one that has waited longest goes first. */
const OPEN_MAX = 8;
/** Most numbers of finished packets that are remembered for one sender. */
const DONE_MAX = 64;
/** How long an unfinished packet waits for its next part, in milliseconds. */
export const PATIENCE_MS = 2000;

interface Assembly {
  readonly number: number;
  readonly checksum: number;
  readonly size: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly present: Uint8Array;
  missing: number;
  touchedMs: number;
}

interface Sender {
  /** Unfinished packets, the one that was touched last at the end. */
  readonly open: Assembly[];
  /** Numbers of the last packets that came out, in a ring. */
  readonly done: number[];
  doneAt: number;
}

/** The unfinished packets of all senders. */
export class Assembler {
  readonly #senders: Map<Boot, Sender> = new Map();
  readonly #bytesMax: number;
  readonly #counters: Counters;
  #bytes = 0;
  #count = 0;

  /** Keeps at most `bytesMax` bytes of unfinished packets. */
  constructor(bytesMax: number, counters: Counters) {
    this.#bytesMax = bytesMax;
    this.#counters = counters;
  }

  /** Bytes of unfinished packets. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of unfinished packets. */
  get count(): number {
    return this.#count;
  }

  /** Takes a part. @returns The packet, when it was the last one that was missing. */
  take(boot: Boot, fragment: Fragment, nowMs: number): Uint8Array<ArrayBuffer> | undefined {
    let sender = this.#senders.get(boot);
    if (sender === undefined) this.#senders.set(boot, sender = { open: [], done: [], doneAt: 0 });
    const { number, length, checksum, size, index, payload } = fragment;
    let at = sender.open.findIndex((each) =>
      each.number === number && each.checksum === checksum && each.size === size &&
      each.bytes.length === length
    );
    if (at < 0) {
      if (sender.done.includes(number)) {
        this.#counters.fragmentsRepeated++;
        return undefined;
      }
      at = this.#open(sender, fragment, nowMs);
    }
    const assembly = sender.open[at];
    if (assembly.present[index] === 1) {
      this.#counters.fragmentsRepeated++;
      return undefined;
    }
    assembly.present[index] = 1;
    assembly.bytes.set(payload, index * size);
    assembly.touchedMs = nowMs;
    sender.open.splice(at, 1);
    if (--assembly.missing > 0) {
      sender.open.push(assembly);
      return undefined;
    }
    this.#release(assembly);
    if (crc32(assembly.bytes) !== checksum) {
      this.#counters.packetsCorrupt++;
      return undefined;
    }
    sender.done[sender.doneAt] = number;
    sender.doneAt = (sender.doneAt + 1) % DONE_MAX;
    return assembly.bytes;
  }

  /** A life has ended, or is not listened to any more. */
  forget(boot: Boot): void {
    for (const assembly of this.#senders.get(boot)?.open ?? []) this.#giveUp(assembly);
    this.#senders.delete(boot);
  }

  /** Gives up what has waited too long. */
  expire(nowMs: number): void {
    if (this.#count === 0) return;
    for (const { open } of this.#senders.values()) {
      while (open.length > 0 && nowMs - open[0].touchedMs >= PATIENCE_MS) {
        this.#giveUp(open.shift() as Assembly);
      }
    }
  }

  /** Makes room and begins a packet. @returns Its place. */
  #open(sender: Sender, { number, length, checksum, size }: Fragment, nowMs: number): number {
    if (sender.open.length >= OPEN_MAX) this.#giveUp(sender.open.shift() as Assembly);
    while (this.#count > 0 && this.#bytes + length > this.#bytesMax) this.#giveUpOldest();
    const missing = Math.ceil(length / size);
    sender.open.push({
      number,
      checksum,
      size,
      bytes: new Uint8Array(length),
      present: new Uint8Array(missing),
      missing,
      touchedMs: nowMs,
    });
    this.#bytes += length;
    this.#count++;
    return sender.open.length - 1;
  }

  #giveUpOldest(): void {
    let oldest: Sender | undefined;
    for (const sender of this.#senders.values()) {
      if (sender.open.length === 0) continue;
      if (oldest === undefined || sender.open[0].touchedMs < oldest.open[0].touchedMs) oldest = sender;
    }
    if (oldest !== undefined) this.#giveUp(oldest.open.shift() as Assembly);
  }

  #giveUp(assembly: Assembly): void {
    this.#counters.packetsIncomplete++;
    this.#release(assembly);
  }

  #release(assembly: Assembly): void {
    this.#bytes -= assembly.bytes.length;
    this.#count--;
  }
}
