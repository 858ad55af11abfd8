/**
 * Plain binary layouts: what operations, answers and snapshots of replicated objects are made of. Big-endian, lengths before
 * what they measure. The same content always gives the same bytes.
 *
 * Numbers are written byte by byte: a view for each of many small layouts costs more than that.
 */
import { decodeText, encodeText } from "../wire/text.ts";

const HIGH = 0x1_0000_0000;
/** One number, for those that have no simple bytes. */
const number = new DataView(new ArrayBuffer(8));

/** Writes one layout. */
export class LayoutWriter {
  #bytes: Uint8Array;
  #length = 0;

  /** @param bytes How much to make room for at once. */
  constructor(bytes: number = 64) {
    this.#bytes = new Uint8Array(bytes);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that there is room for. */
  get room(): number {
    return this.#bytes.length;
  }

  /** A number of one byte. */
  u8(value: number): this {
    const offset = this.#room(1);
    this.#bytes[offset] = value;
    return this;
  }

  /** A whole number from 0, up to the largest safe one. */
  u64(value: number): this {
    const offset = this.#room(8);
    this.#u32(offset, Math.floor(value / HIGH));
    this.#u32(offset + 4, value >>> 0);
    return this;
  }

  /** Any number. */
  f64(value: number): this {
    const offset = this.#room(8);
    number.setFloat64(0, value);
    this.#u32(offset, number.getUint32(0));
    this.#u32(offset + 4, number.getUint32(4));
    return this;
  }

  /** A text. */
  text(value: string): this {
    return this.bytes(encodeText(value));
  }

  /** Bytes, after their length. */
  bytes(value: Uint8Array): this {
    const offset = this.#room(4 + value.length);
    this.#u32(offset, value.length);
    this.#bytes.set(value, offset + 4);
    return this;
  }

  /** What was written, as bytes of its own; the writer starts anew. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #u32(offset: number, value: number): void {
    const bytes = this.#bytes;
    bytes[offset] = value >>> 24;
    bytes[offset + 1] = value >>> 16;
    bytes[offset + 2] = value >>> 8;
    bytes[offset + 3] = value;
  }

  #room(bytes: number): number {
    const offset = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, offset));
      this.#bytes = larger;
    }
    return offset;
  }
}

/** Room that the shared writer keeps at the most. */
const SHARED_BYTES_MAX = 64 * 1024;

/** A writer for one small layout at a time: taken before another one is begun. */
let shared = new LayoutWriter(1024);

/**
 * Writes a small layout, with a writer that is there already.
 *
 * @param write Must not write another layout meanwhile.
 */
export function layout(write: (writer: LayoutWriter) => void): Uint8Array {
  const writer = shared;
  try {
    write(writer);
    return writer.take();
  } finally {
    // One that is in the middle of something, because that failed, or that has grown large, is of no more use.
    if (writer.length > 0 || writer.room > SHARED_BYTES_MAX) shared = new LayoutWriter(1024);
  }
}

/**
 * Reads one layout. Never throws: once something is not as it must be, `sound` is false and everything reads as nothing, so
 * that a whole layout is read before it is asked.
 */
export class LayoutReader {
  /** Whether everything so far was as it must be. */
  sound = true;
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether everything was read, and was as it must be. */
  get done(): boolean {
    return this.sound && this.#offset === this.#bytes.length;
  }

  /** Bytes that are not read yet. */
  get left(): number {
    return this.sound ? this.#bytes.length - this.#offset : 0;
  }

  /** A number of one byte. */
  u8(): number {
    const offset = this.#take(1);
    return offset < 0 ? 0 : this.#bytes[offset];
  }

  /** A whole number from 0. */
  u64(): number {
    const offset = this.#take(8);
    if (offset < 0) return 0;
    const value = this.#u32(offset) * HIGH + this.#u32(offset + 4);
    if (Number.isSafeInteger(value)) return value;
    this.sound = false;
    return 0;
  }

  /** Any number. */
  f64(): number {
    const offset = this.#take(8);
    if (offset < 0) return 0;
    number.setUint32(0, this.#u32(offset));
    number.setUint32(4, this.#u32(offset + 4));
    return number.getFloat64(0);
  }

  /** A text of at most so many bytes. */
  text(bytesMax: number): string {
    const length = this.#length(bytesMax);
    const offset = this.#take(length);
    const text = offset < 0 ? undefined : decodeText(this.#bytes, offset, offset + length);
    if (text !== undefined) return text;
    this.sound = false;
    return "";
  }

  /** Bytes, a view of what is read. */
  bytes(bytesMax: number = Infinity): Uint8Array {
    return this.raw(this.#length(bytesMax));
  }

  /** So many bytes, a view of what is read. */
  raw(length: number): Uint8Array {
    const offset = this.#take(length);
    return offset < 0 ? this.#bytes.subarray(0, 0) : this.#bytes.subarray(offset, offset + length);
  }

  /** What is left, a view of what is read. */
  rest(): Uint8Array {
    return this.raw(this.left);
  }

  #length(bytesMax: number): number {
    const at = this.#take(4);
    const length = at < 0 ? 0 : this.#u32(at);
    if (length > bytesMax) this.sound = false;
    return length;
  }

  #u32(offset: number): number {
    const bytes = this.#bytes;
    return ((bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) |
      bytes[offset + 3]) >>> 0;
  }

  /** @returns Where to read; -1 when there is not so much left. */
  #take(bytes: number): number {
    const offset = this.#offset;
    if (!this.sound || bytes > this.#bytes.length - offset) {
      this.sound = false;
      return -1;
    }
    this.#offset = offset + bytes;
    return offset;
  }
}
