/**
 * Recycles the memory of copies that live for a few milliseconds.
 *
 * A receiver keeps a copy of every packet until it is stable. At a hundred megabytes a second such copies outlive the
 * garbage collector's young generation and pile up in the old one; recycled, they are the same few megabytes for ever.
 */

/** Largest share of a chunk that may stay unused: smaller sources get memory of their own size. */
const FILL_MIN = 0.5;

/** A pool of chunks of one size. */
export class BufferPool {
  readonly #chunkBytes: number;
  readonly #chunksMax: number;
  readonly #free: ArrayBuffer[] = [];

  /**
   * @param chunkBytes Size of a chunk; larger sources get memory of their own.
   * @param chunksMax Most unused chunks that are kept.
   */
  constructor(chunkBytes: number, chunksMax: number) {
    this.#chunkBytes = chunkBytes;
    this.#chunksMax = chunksMax;
  }

  /** A copy of some bytes, in memory that nobody else uses until it is given back. */
  copy(source: Uint8Array): Uint8Array {
    const { length } = source;
    if (length > this.#chunkBytes || length < this.#chunkBytes * FILL_MIN) return new Uint8Array(source);
    const copy = new Uint8Array(this.#free.pop() ?? new ArrayBuffer(this.#chunkBytes), 0, length);
    copy.set(source);
    return copy;
  }

  /** Gives a copy back. Nobody may look at it any more. */
  release(copy: Uint8Array): void {
    const buffer = copy.buffer as ArrayBuffer;
    if (buffer.byteLength === this.#chunkBytes && this.#free.length < this.#chunksMax) {
      this.#free.push(buffer);
    }
  }
}
