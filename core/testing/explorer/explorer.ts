/**
 * The explorer: every interleaving of a tiny instance of the view change, breadth first, with the real `ViewChange` in every member.
 *
 * Where the specification's model checker explores a model, this explores the code. Fault model: loss, delay, reordering and
 * repetition of packets without limit, suspicion of anybody at any time within a number of ballots, crashes, restarts.
 * A crash is not a step: a run in which a member crashes is one in which it takes no more steps, so every set of crashes is
 * looked at in every state.
 */
import { Cells, type Move } from "./cells.ts";
import { type ExplorerOptions, Instance } from "./instance.ts";
import { EXPLORER_PROPERTIES, type ExplorerProperty, type Fault } from "./member.ts";
import type { ExplorerMutation } from "./mutations.ts";
import { disproved, faultsOf } from "./properties.ts";
import { firstSeats, type Seat } from "./seat.ts";
import { StateTable } from "./state_table.ts";
import { describeMove } from "./transcript.ts";

/** Steps of one member that a state can have, as a number of bits. */
const MOVE_BITS = 20;

/** What an exploration found. */
export interface Exploration {
  /** Different states. */
  readonly states: number;
  /** Steps from one state to another. */
  readonly transitions: number;
  /** Steps of single members for which the view change was run. */
  readonly stepsRun: number;
  /** Whether all states were looked at. */
  readonly exhaustive: boolean;
  /** What is broken; `undefined` when nothing is. */
  readonly violation: Fault | undefined;
  /** The shortest way there, a step a line. */
  readonly transcript: readonly string[];
  /** How often each view was installed by whom: shows that the instance gets somewhere. */
  readonly outcomes: readonly string[];
}

/**
 * Explores an instance until a promise is broken or nothing is left.
 *
 * @param options Bounds.
 * @param mutation A bug to plant; then only the promise that it breaks is looked at, within its own bounds if it has some.
 * @returns What was found.
 * @example
 * ```ts
 * import { explore } from "./mod.ts";
 *
 * const { states, exhaustive, violation } = explore({ members: 2, ballots: 1, messages: 1 });
 * if (!exhaustive || violation !== undefined || states < 50) throw new Error("the view change is broken");
 * ```
 */
export function explore(options: ExplorerOptions = {}, mutation?: ExplorerMutation): Exploration {
  return new Explorer({ ...options, ...mutation?.options }, mutation).run();
}

class Explorer {
  readonly #instance: Instance;
  readonly #cells: readonly Cells[];
  readonly #table: StateTable;
  readonly #properties: readonly ExplorerProperty[];
  readonly #row: Int32Array;
  readonly #next: Int32Array;
  readonly #seatOf: (index: number) => Seat;
  readonly #outcomes = new Set<number>();
  #transitions = 0;

  constructor(options: ExplorerOptions, mutation: ExplorerMutation | undefined) {
    this.#instance = new Instance(options);
    const { size } = this.#instance;
    this.#cells = this.#instance.members.map((_, index) => new Cells(this.#instance, index, mutation));
    // After the cells: ballots begun, four bits for each view number; restarts in the lowest.
    this.#table = new StateTable(size + 1);
    this.#row = new Int32Array(size + 1);
    this.#next = new Int32Array(size + 1);
    this.#properties = mutation === undefined ? EXPLORER_PROPERTIES : [mutation.breaks];
    this.#seatOf = (index) => this.#cells[index].seat(this.#next[index]);
  }

  run(): Exploration {
    const instance = this.#instance;
    firstSeats(instance).forEach((seat, index) => this.#next[index] = this.#cells[index].first(seat));
    this.#table.add(this.#next, -1, 0);
    for (let state = 0; state < this.#table.size; state++) {
      if (this.#table.size > instance.options.statesMax) return this.#result(false, undefined, []);
      const found = this.#expand(state);
      if (found !== undefined) return this.#result(false, found.fault, this.#transcript(found.path));
    }
    return this.#result(true, undefined, []);
  }

  /** Takes every step from a state. */
  #expand(state: number): { fault: Fault; path: number[] } | undefined {
    const { size } = this.#instance;
    this.#table.read(state, this.#row);
    for (let index = 0; index < size; index++) {
      const moves = this.#cells[index].moves(this.#row[index]);
      for (let number = 0; number < moves.length; number++) {
        const move = moves[number];
        if (!this.#advance(index, move)) continue;
        this.#transitions++;
        const step = (index << MOVE_BITS) | number;
        const added = this.#table.add(this.#next, state, step) >= 0;
        if (!added && move.faults.length === 0 && move.claims.length === 0) continue;
        const fault = this.#judge(move, added);
        if (fault !== undefined) return { fault, path: [...this.#pathTo(state), step] };
      }
    }
    return undefined;
  }

  /** Puts the state after a step into `#next`. @returns Whether the step can be taken. */
  #advance(index: number, move: Move): boolean {
    const { size, options } = this.#instance;
    const [row, next, cells] = [this.#row, this.#next, this.#cells];
    const { needs, spends, sends } = move;
    if (needs !== undefined) {
      const [sender, sequence, view] = needs;
      if (cells[sender].seat(row[sender]).sent[sequence] !== view) return false;
    }
    let spent = row[size];
    if (spends > 0) {
      spent += 1 << (4 * spends);
      if (((spent >> (4 * spends)) & 15) > options.ballots) return false;
    }
    if (move.restarts) {
      spent++;
      if ((spent & 15) > options.restarts) return false;
    }
    for (let other = 0; other < size; other++) next[other] = row[other];
    next[index] = move.to;
    next[size] = spent;
    for (let count = 0; count < sends.length; count++) {
      const [to, packet] = sends[count];
      next[to] = cells[to].put(next[to], packet);
    }
    if (spends > 0 && ((spent >> (4 * spends)) & 15) === options.ballots) {
      for (let other = 0; other < size; other++) next[other] = cells[other].exhaust(next[other], spends);
    }
    return true;
  }

  #judge(move: Move, added: boolean): Fault | undefined {
    const watched = ({ property }: Fault): boolean => this.#properties.includes(property);
    for (const fault of move.faults) if (watched(fault)) return fault;
    for (const claim of move.claims) {
      const fault = disproved(this.#instance, claim, this.#seatOf).find(watched);
      if (fault !== undefined) return fault;
    }
    if (!added) return undefined;
    return this.#isDecided() ? faultsOf(this.#instance, this.#seatOf).find(watched) : undefined;
  }

  /** Whether anybody takes a view for decided: before that there is nothing to compare. */
  #isDecided(): boolean {
    let decided = false;
    for (let index = 0; index < this.#instance.size; index++) {
      const { chosen, view } = this.#seatOf(index);
      if (chosen[0] === 0) continue;
      decided = true;
      if (view > 1) this.#outcomes.add(chosen[view - 2]);
    }
    return decided;
  }

  #result(exhaustive: boolean, violation: Fault | undefined, transcript: string[]): Exploration {
    return {
      states: this.#table.size,
      transitions: this.#transitions,
      stepsRun: this.#cells.reduce((sum, { stepsRun }) => sum + stepsRun, 0),
      exhaustive,
      violation,
      transcript,
      outcomes: [...this.#outcomes].map((id) => this.#instance.proposal(id).text).sort(),
    };
  }

  #pathTo(state: number): number[] {
    const path: number[] = [];
    for (let at = state; this.#table.parent(at) >= 0; at = this.#table.parent(at)) {
      path.push(this.#table.step(at));
    }
    return path.reverse();
  }

  /** Takes the steps of a path once more, and says what happens. */
  #transcript(path: readonly number[]): string[] {
    this.#table.read(0, this.#row);
    return path.map((step) => {
      const index = step >> MOVE_BITS;
      const move = this.#cells[index].moves(this.#row[index])[step & ((1 << MOVE_BITS) - 1)];
      const before = this.#cells[index].seat(this.#row[index]);
      this.#advance(index, move);
      const after = this.#cells[index].seat(this.#next[index]);
      this.#row.set(this.#next);
      return describeMove(this.#instance, index, move, before, after);
    });
  }
}
