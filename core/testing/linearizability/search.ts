/**
 * Looks for an order of operations that one object could have answered in: each takes place at one instant between its call and
 * its answer, a pending one at any instant after its call or never (Herlihy and Wing 1990, "Linearizability: a correctness condition
 * for concurrent objects").
 *
 * The search is that of Wing and Gong 1993, "Testing and verifying concurrent objects": of the operations that are open, let one
 * take place, go on, and come back if that leads nowhere. With Lowe 2017, "Testing for linearizability", it remembers
 * configurations - which operations have taken place, and the state - and looks at none twice.
 *
 * Which operations have taken place is told by the first answer that is still missing its operation, and, of those open at that
 * time, by which have: all that were answered before have, none that was called after has. So what is remembered is
 * small, however long the history. Besides, what only observes takes place as soon as it can, since that changes nothing for the
 * others; of operations alike that are open, the one answered first goes first; and a model may know that what is left has no
 * order any more.
 */
import type { Operation } from "./operations.ts";
import type { Outlook, SequentialModel } from "./sequential_model.ts";

/** What a search found. */
export type SearchResult =
  /** An order, without pending operations that need not have taken place. */
  | { readonly type: "possible"; readonly order: readonly Operation[] }
  | { readonly type: "impossible" }
  /** The work allowed was not enough to say. */
  | { readonly type: "undecided" };

/** Up to so many operations open at once, a configuration fits into a number, with 2^33 states. */
const SMALL_SLOTS_MAX = 20;

/** Work that may still be done, shared by the parts of a history. */
export interface Budget {
  configurations: number;
}

/**
 * Looks for an order.
 *
 * @param model What the object does.
 * @param operations What was called, in the order of the calls.
 * @param budget Gets what is spent.
 * @returns What was found.
 */
export function searchOrder<State>(
  model: SequentialModel<State>,
  operations: readonly Operation[],
  budget: Budget,
): SearchResult {
  return new Search(model, operations, budget).run();
}

/** A configuration on the way, and what is still to be tried from it. */
interface Frame<State> {
  readonly state: State;
  /** What took place to get here; -1 at the start. */
  readonly operation: number;
  /** The place in the events before that. */
  readonly from: number;
  /** What may take place next. */
  readonly choices: readonly number[];
  tried: number;
}

class Search<State> {
  readonly #model: SequentialModel<State>;
  readonly #operations: readonly Operation[];
  readonly #budget: Budget;
  /** Calls and answers in order: twice the operation's number, and one more for an answer. */
  readonly #events: Int32Array;
  /** Each operation that is open has a slot of its own. */
  readonly #slots: Int32Array;
  /** Which operation has a slot; -1 for none. */
  readonly #owners: Int32Array;
  /** One bit for each slot: its operation has taken place. */
  readonly #taken: Uint32Array;
  /** Each operation's kind: alike are those with the same name, argument and answer. */
  readonly #kinds: Int32Array;
  readonly #observes: Uint8Array;
  /** All events before this one are past; it is an answer whose operation has not taken place. */
  #place = 0;
  readonly #stateIds: Map<State, number> = new Map();
  readonly #seen: (Set<number | string> | undefined)[];
  readonly #frames: Frame<State>[] = [];
  readonly #outlook: Outlook<State> | undefined;

  constructor(model: SequentialModel<State>, operations: readonly Operation[], budget: Budget) {
    this.#model = model;
    this.#operations = operations;
    this.#budget = budget;
    const events = operations.flatMap(({ callIndex, endIndex }, number) => [
      { index: callIndex, code: 2 * number },
      ...(endIndex === Infinity ? [] : [{ index: endIndex, code: 2 * number + 1 }]),
    ]).sort((a, b) => a.index - b.index);
    this.#events = Int32Array.from(events, ({ code }) => code);
    this.#slots = new Int32Array(operations.length);
    const slotCount = this.#assignSlots();
    this.#owners = new Int32Array(slotCount).fill(-1);
    this.#taken = new Uint32Array(Math.ceil(slotCount / 32));
    this.#seen = new Array(events.length);
    const kinds = new Map<string, number>();
    this.#kinds = Int32Array.from(operations, ({ client, op, inputText, pending, outputText }) => {
      const holder = model.holders === true ? client : "";
      const text = JSON.stringify([op, inputText, pending, outputText, holder]);
      const kind = kinds.get(text) ?? kinds.size;
      kinds.set(text, kind);
      return kind;
    });
    this.#observes = Uint8Array.from(
      operations,
      (operation) => model.rules[operation.op].observes?.(operation) === true ? 1 : 0,
    );
    this.#outlook = model.newOutlook?.();
    for (const operation of operations) this.#outlook?.count(operation, 1);
  }

  run(): SearchResult {
    this.#advance();
    this.#push(this.#model.start, -1, 0);
    while (this.#frames.length > 0) {
      if (this.#place === this.#events.length) {
        const numbers = this.#frames.slice(1).map(({ operation }) => operation);
        return { type: "possible", order: numbers.map((number) => this.#operations[number]) };
      }
      const frame = this.#frames.at(-1)!;
      if (frame.tried === frame.choices.length) {
        this.#frames.pop();
        if (frame.operation >= 0) this.#undo(frame.operation, frame.from);
        continue;
      }
      const number = frame.choices[frame.tried++];
      const operation = this.#operations[number];
      const state = this.#model.rules[operation.op].step(frame.state, operation);
      if (state === undefined) continue;
      if (--this.#budget.configurations < 0) return { type: "undecided" };
      const from = this.#place;
      this.#take(number);
      this.#outlook?.count(operation, -1);
      const isHopeless = this.#outlook?.isHopeless(frame.state, state) === true;
      if (!isHopeless) this.#advance();
      if (!isHopeless && this.#isNew(state)) this.#push(state, number, from);
      else this.#undo(number, from);
    }
    return { type: "impossible" };
  }

  /** Gives each operation a slot from its call to its answer; returns how many it takes. */
  #assignSlots(): number {
    const free: number[] = [];
    let count = 0;
    for (const code of this.#events) {
      const number = code >> 1;
      if (code % 2 === 0) this.#slots[number] = free.pop() ?? count++;
      else free.push(this.#slots[number]);
    }
    return count;
  }

  #push(state: State, operation: number, from: number): void {
    this.#frames.push({ state, operation, from, choices: this.#choices(state), tried: 0 });
  }

  /** What may take place next, what must be answered first at the front. */
  #choices(state: State): number[] {
    const choices: number[] = [];
    for (let slot = 0; slot < this.#owners.length; slot++) {
      const number = this.#owners[slot];
      if (number < 0 || this.#isTaken(slot)) continue;
      if (this.#observes[number] === 1) {
        const operation = this.#operations[number];
        const next = this.#model.rules[operation.op].step(state, operation);
        if (next !== undefined) return [number];
        continue;
      }
      choices.push(number);
    }
    choices.sort((a, b) => this.#end(a) - this.#end(b) || a - b);
    return choices.filter((number, place) => {
      for (let other = 0; other < place; other++) {
        if (this.#kinds[choices[other]] === this.#kinds[number]) return false;
      }
      return true;
    });
  }

  #end(number: number): number {
    return Math.min(this.#operations[number].endIndex, Number.MAX_SAFE_INTEGER);
  }

  #isTaken(slot: number): boolean {
    return ((this.#taken[slot >> 5] >>> (slot & 31)) & 1) === 1;
  }

  #take(number: number): void {
    const slot = this.#slots[number];
    this.#taken[slot >> 5] |= 1 << (slot & 31);
  }

  #untake(slot: number): void {
    this.#taken[slot >> 5] &= ~(1 << (slot & 31));
  }

  /** Goes on to the first answer whose operation has not taken place. */
  #advance(): void {
    for (; this.#place < this.#events.length; this.#place++) {
      const code = this.#events[this.#place];
      const slot = this.#slots[code >> 1];
      if (code % 2 === 0) this.#owners[slot] = code >> 1;
      else if (this.#isTaken(slot)) {
        this.#owners[slot] = -1;
        this.#untake(slot);
      } else return;
    }
  }

  /** Goes back to where an operation had not taken place. */
  #undo(number: number, from: number): void {
    while (this.#place > from) {
      const code = this.#events[--this.#place];
      const slot = this.#slots[code >> 1];
      if (code % 2 === 0) this.#owners[slot] = -1;
      else {
        this.#owners[slot] = code >> 1;
        this.#take(code >> 1);
      }
    }
    this.#untake(this.#slots[number]);
    this.#outlook?.count(this.#operations[number], 1);
  }

  /** Whether the present configuration has not been seen, and remembers it. */
  #isNew(state: State): boolean {
    let id = this.#stateIds.get(state);
    if (id === undefined) this.#stateIds.set(state, id = this.#stateIds.size);
    const seen = this.#seen[this.#place] ??= new Set();
    const key = this.#owners.length <= SMALL_SLOTS_MAX
      ? id * 2 ** SMALL_SLOTS_MAX + (this.#taken[0] ?? 0)
      : `${id}:${this.#taken.join()}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  }
}
