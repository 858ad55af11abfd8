/**
 * What the explorer remembers of single members, so that no step of a member is computed twice.
 *
 * A *cell* is a seat with the packets that are on their way to it and still matter. What a member does depends on its cell only;
 * so the real code runs once for each cell and event, and the search over all interleavings is arithmetic on numbers of cells.
 */
import type { Instance } from "./instance.ts";
import { type Claim, eventsOf, ExplorerMember, type Fault, type Step, type StepEvent } from "./member.ts";
import type { ExplorerMutation } from "./mutations.ts";
import { isDead, normalized, type Seat, seatKey } from "./seat.ts";

/** One step of one member. */
export interface Move {
  readonly event: StepEvent;
  /** The cell of that member afterwards. */
  readonly to: number;
  /** Receiver and packet number. */
  readonly sends: readonly (readonly [to: number, packet: number])[];
  readonly faults: readonly Fault[];
  readonly claims: readonly Claim[];
  /** Whether a ballot of this view number is used up; 0 for no. */
  readonly spends: number;
  /** Whether a restart is used up. */
  readonly restarts: boolean;
  /** What another member must have sent: the sender, which message, in which view. */
  readonly needs: readonly [sender: number, sequence: number, view: number] | undefined;
}

interface Cell {
  readonly seat: number;
  readonly packets: readonly number[];
  readonly puts: Map<number, number>;
  moves: readonly Move[] | undefined;
}

/** Cells of one member of the instance. */
export class Cells {
  readonly #instance: Instance;
  readonly #index: number;
  readonly #mutation: ExplorerMutation | undefined;
  readonly #seats: Seat[] = [];
  readonly #seatIds = new Map<string, number>();
  readonly #cells: Cell[] = [];
  readonly #cellIds = new Map<string, number>();
  readonly #steps = new Map<string, { seat: number; step: Step }>();
  readonly #events: StepEvent[][] = [];

  constructor(instance: Instance, index: number, mutation: ExplorerMutation | undefined) {
    this.#instance = instance;
    this.#index = index;
    this.#mutation = mutation;
  }

  /** How many there are. */
  get size(): number {
    return this.#cells.length;
  }

  /** How often the view change itself was run. */
  get stepsRun(): number {
    return this.#steps.size;
  }

  /** The seat of a cell. */
  seat(cell: number): Seat {
    return this.#seats[this.#cells[cell].seat];
  }

  /** Number of the cell of a seat that nothing is on its way to. */
  first(seat: Seat): number {
    return this.#cell(this.#seatId(seat), []);
  }

  /** The cell once a packet is on its way, too. */
  put(cell: number, packet: number): number {
    const { seat, packets, puts } = this.#cells[cell];
    const known = puts.get(packet);
    if (known !== undefined) return known;
    const next = packets.includes(packet)
      ? cell
      : this.#cell(seat, [...packets, packet].sort((a, b) => a - b));
    puts.set(packet, next);
    return next;
  }

  /** The cell once no more ballots can be begun for the view after this one. */
  exhaust(cell: number, view: number): number {
    const { seat, packets } = this.#cells[cell];
    const before = this.#seats[seat];
    const after = normalized({ ...before, exhausted: before.exhausted | (1 << view) }, this.#instance);
    return this.#cell(this.#seatId(after), packets);
  }

  /** Everything that the member may do. */
  moves(id: number): readonly Move[] {
    const cell = this.#cells[id];
    return cell.moves ??= this.#findMoves(cell);
  }

  #findMoves({ seat: seatId, packets }: Cell): Move[] {
    const seat = this.#seats[seatId];
    const moves: Move[] = [];
    for (const event of this.#events[seatId] ??= eventsOf(this.#member(seat), this.#index, this.#mutation)) {
      moves.push(
        this.#move(seatId, packets, event, event.kind === "obtain" ? `o${event.sender}` : event.kind),
      );
    }
    if (seat.stage === "done" || seat.stage === "out") return moves;
    for (const id of packets) {
      const packet = this.#instance.packet(id);
      if (packet.view !== seat.view) continue;
      const move = this.#move(seatId, packets, { kind: "receive", packet }, `${id}`);
      // A packet that does nothing now is left where it is.
      if (this.#seats[this.#cells[move.to].seat] !== seat || move.sends.length > 0) moves.push(move);
    }
    return moves;
  }

  #move(seatId: number, packets: readonly number[], event: StepEvent, key: string): Move {
    const { seat: after, step } = this.#step(seatId, event, key);
    const seat = this.#seats[seatId];
    return {
      event,
      to: this.#cell(after, packets),
      sends: step.sends,
      faults: step.faults,
      claims: step.claims,
      spends: event.kind === "propose" ? seat.view : 0,
      restarts: event.kind === "restart",
      needs: event.kind === "obtain" ? [event.sender, seat.held[event.sender], seat.view] : undefined,
    };
  }

  #step(seatId: number, event: StepEvent, key: string): { seat: number; step: Step } {
    const stepKey = `${seatId}:${key}`;
    let known = this.#steps.get(stepKey);
    if (known === undefined) {
      const step = this.#member(this.#seats[seatId]).take(event);
      known = { seat: this.#seatId(step.seat), step };
      this.#steps.set(stepKey, known);
    }
    return known;
  }

  #member(seat: Seat): ExplorerMember {
    const member = new ExplorerMember(this.#instance, this.#index, seat);
    this.#mutation?.plant(member);
    return member;
  }

  #seatId(seat: Seat): number {
    const key = seatKey(seat, this.#instance);
    let id = this.#seatIds.get(key);
    if (id === undefined) {
      id = this.#seats.length;
      this.#seats.push(seat);
      this.#seatIds.set(key, id);
    }
    return id;
  }

  #cell(seatId: number, packets: readonly number[]): number {
    const seat = this.#seats[seatId];
    const alive = packets.filter((id) => !isDead(seat, this.#instance.packet(id), this.#instance));
    const key = `${seatId}:${alive}`;
    let id = this.#cellIds.get(key);
    if (id === undefined) {
      id = this.#cells.length;
      this.#cells.push({ seat: seatId, packets: alive, puts: new Map(), moves: undefined });
      this.#cellIds.set(key, id);
    }
    return id;
  }
}
