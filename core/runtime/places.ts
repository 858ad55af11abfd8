/**
 * Where own messages stand in the total order: remembered for a while, because a receipt may be asked after the message was
 * delivered. Flat arrays, for this is written for each own message.
 */
import type { LevelName } from "../wire/control.ts";
import type { Place } from "./receipt.ts";

/** Fewest messages that are remembered. */
const PLACES_MIN = 16_384;

/** The places of the latest own messages of the present life. */
export class Places {
  /** The last message that has a place. */
  through = 0;
  readonly #level: LevelName;
  readonly #sequences: Float64Array;
  readonly #positions: Float64Array;
  readonly #views: Float64Array;

  /**
   * @param level What is certain of each.
   * @param windowMessages Most messages that may be on their way at a time.
   */
  constructor(level: LevelName, windowMessages: number) {
    const size = Math.max(PLACES_MIN, windowMessages);
    this.#level = level;
    this.#sequences = new Float64Array(size);
    this.#positions = new Float64Array(size);
    this.#views = new Float64Array(size);
  }

  /** Messages that are remembered. */
  get size(): number {
    return this.#sequences.length;
  }

  /** A message was delivered in its place. */
  set(sequence: number, position: number, view: number): void {
    const index = sequence % this.size;
    this.through = sequence;
    this.#sequences[index] = sequence;
    this.#positions[index] = position;
    this.#views[index] = view;
  }

  /** The place of a message; `undefined` if it has none or is not remembered. */
  get(sequence: number): Place | undefined {
    const index = sequence % this.size;
    if (this.#sequences[index] !== sequence) return undefined;
    return { position: this.#positions[index], view: this.#views[index], level: this.#level };
  }

  /** The next life begins. */
  clear(): void {
    this.through = 0;
    this.#sequences.fill(0);
  }
}
