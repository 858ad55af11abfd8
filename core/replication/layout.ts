/**
 * Plain binary layouts: what operations, answers and snapshots of replicated objects are made of. Big-endian, lengths before
 * what they measure. The same content always gives the same bytes.
 */
import { readU64, writeU64 } from "../wire/message.ts";

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Writes one layout. */
export class LayoutWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  /** @param bytes How much to make room for at once. */
  constructor(bytes: number = 64) {
    this.#bytes = new Uint8Array(bytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** A number of one byte. */
  u8(value: number): this {
    const offset = this.#room(1);
    this.#view.setUint8(offset, value);
    return this;
  }

  /** A whole number from 0, up to the largest safe one. */
  u64(value: number): this {
    const offset = this.#room(8);
    writeU64(this.#view, offset, value);
    return this;
  }

  /** Any number. */
  f64(value: number): this {
    const offset = this.#room(8);
    this.#view.setFloat64(offset, value);
    return this;
  }

  /** A text. */
  text(value: string): this {
    return this.bytes(utf8.encode(value));
  }

  /** Bytes, after their length. */
  bytes(value: Uint8Array): this {
    const offset = this.#room(4 + value.length);
    this.#view.setUint32(offset, value.length);
    this.#bytes.set(value, offset + 4);
    return this;
  }

  /** Bytes up to the end of the layout: nothing may follow. */
  rest(value: Uint8Array): this {
    const offset = this.#room(value.length);
    this.#bytes.set(value, offset);
    return this;
  }

  /** What was written, as bytes of its own; the writer starts anew. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #room(bytes: number): number {
    const offset = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, offset));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return offset;
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
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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
    return offset < 0 ? 0 : this.#view.getUint8(offset);
  }

  /** A whole number from 0. */
  u64(): number {
    const offset = this.#take(8);
    const value = offset < 0 ? 0 : readU64(this.#view, offset);
    if (value >= 0) return value;
    this.sound = false;
    return 0;
  }

  /** Any number. */
  f64(): number {
    const offset = this.#take(8);
    return offset < 0 ? 0 : this.#view.getFloat64(offset);
  }

  /** A text of at most so many bytes. */
  text(bytesMax: number): string {
    const bytes = this.bytes(bytesMax);
    try {
      return strictUtf8.decode(bytes);
    } catch {
      this.sound = false;
      return "";
    }
  }

  /** Bytes, a view of what is read. */
  bytes(bytesMax: number = Infinity): Uint8Array {
    const at = this.#take(4);
    const length = at < 0 ? 0 : this.#view.getUint32(at);
    if (length > bytesMax) this.sound = false;
    return this.raw(length);
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
