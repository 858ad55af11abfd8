/**
 * What has come of a sequence of bytes ahead of what is missing of it, so that only the gaps need be asked for again
 * (selective repeat, as TCP has it by RFC 2018). Held in memory, within bounds.
 */

/** Most pieces that are held: more than an answer has in the smallest packets. */
const PIECES_MAX = 16_384;

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** Pieces that wait for what comes before them. */
export class Ahead {
  /** By their place; no two overlap. */
  #pieces: Piece[] = [];
  #bytes = 0;

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a copy of what fits in the gap in which it begins; the rest, if there is one, is held or will be asked for. */
  keep(offset: number, bytes: Uint8Array): void {
    if (this.#pieces.length >= PIECES_MAX) return;
    const index = this.#indexBehind(offset);
    const start = Math.max(offset, this.#pieces[index - 1]?.end ?? 0);
    const end = Math.min(offset + bytes.length, this.#pieces[index]?.start ?? Infinity);
    if (start >= end) return;
    const piece = { start, end, bytes: bytes.slice(start - offset, end - offset) };
    if (index === this.#pieces.length) this.#pieces.push(piece);
    else this.#pieces.splice(index, 0, piece);
    this.#bytes += end - start;
  }

  /** Takes out what goes on at an offset, and lets go of what lies before it. @returns In order; empty if it is missing. */
  take(offset: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let at = offset;
    let count = 0;
    for (; count < this.#pieces.length && this.#pieces[count].start <= at; count++) {
      const { start, end, bytes } = this.#pieces[count];
      this.#bytes -= bytes.length;
      if (end <= at) continue;
      taken.push(bytes.subarray(at - start));
      at = end;
    }
    if (count > 0) this.#pieces.splice(0, count);
    return taken;
  }

  /** From an offset on, how many bytes are missing, how many of those that follow are held, and so on in turn. */
  runs(offset: number, runsMax: number): number[] {
    const runs: number[] = [];
    let at = offset;
    for (const { start, end } of this.#pieces) {
      if (start === at && runs.length > 0) runs[runs.length - 1] += end - start;
      else if (runs.length === runsMax) break;
      else runs.push(start - at, end - start);
      at = end;
    }
    return runs;
  }

  /** Forgets everything. */
  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }

  #indexBehind(offset: number): number {
    let [low, high] = [0, this.#pieces.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#pieces[middle].start <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
