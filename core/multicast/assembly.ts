/**
 * Assembly: messages that are larger than a packet travel as fragments, each with a sequence of its own, and are one message
 * again when the last one has come. Streams are FIFO without gaps, so the fragments of a message come one after the other.
 */
import { concat } from "../base/bytes.ts";
import type { PacketReader } from "../wire/packet_reader.ts";

/** A message of which more is to come. */
export class Assembly {
  /** Dependencies of the message, which its first fragment carries. */
  dependencies: readonly number[] = [];
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  /** Takes the payload of a fragment. What is larger than any message may be is not kept. */
  add({ bytes, payloadStart, bodyEnd }: PacketReader, bytesMax: number): void {
    this.#bytes += bodyEnd - payloadStart;
    if (this.#bytes > bytesMax) this.#parts.length = 0;
    else this.#parts.push(bytes.subarray(payloadStart, bodyEnd));
  }

  /** The whole payload; empty if it is too large. */
  whole(): Uint8Array {
    return concat(this.#parts);
  }
}
