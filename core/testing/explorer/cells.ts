/**
 * What the explorer remembers of single members, so that no step of a member is computed twice.
 *
 * A *cell* is a seat with the packets that are on their way to it and still matter. What a member does depends on its cell only;
 * so the real code runs once for each cell and event, and the search over all interleavings is arithmetic on numbers of cells.
 */
import type { Instance } from "./instance.ts";
import { eventsOf } from "./events.ts";
import { type Claim, ExplorerMember, type Fault, type Step, type StepEvent } from "./member.ts";
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

/** A seat, and what came of its steps: by packet number, or by the place of an event in `events` as a negative number. */
interface Place {
  readonly seat: Seat;
  readonly steps: Map<number, { readonly after: number; readonly step: Step }>;
  /** Cells by the packets that are on their way. */
  readonly cells: Map<string, number>;
  /** Whether a packet matters, by its number. */
  readonly matters: (boolean | undefined)[];
  events: readonly StepEvent[] | undefined;
}

interface Cell {
  readonly place: number;
  readonly packets: readonly number[];
  readonly puts: Map<number, number>;
  moves: readonly Move[] | undefined;
}

/** Cells of one member of the instance. */
export class Cells {
  readonly #instance: Instance;
  readonly #index: number;
  readonly #mutation: ExplorerMutation | undefined;
  readonly #places: Place[] = [];
  readonly #placeIds = new Map<string, number>();
  readonly #cells: Cell[] = [];

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
    return this.#places.reduce((sum, { steps }) => sum + steps.size, 0);
  }

  /** The seat of a cell. */
  seat(cell: number): Seat {
    return this.#places[this.#cells[cell].place].seat;
  }

  /** Number of the cell of a seat that nothing is on its way to. */
  first(seat: Seat): number {
    return this.#cell(this.#placeId(seat), []);
  }

  /** The cell once a packet is on its way, too. */
  put(cell: number, packet: number): number {
    const { place, packets, puts } = this.#cells[cell];
    const known = puts.get(packet);
    if (known !== undefined) return known;
    const next = packets.includes(packet) || !this.#matters(this.#places[place], packet)
      ? cell
      : this.#cell(place, [...packets, packet].sort((a, b) => a - b));
    puts.set(packet, next);
    return next;
  }

  /** The cell once no more ballots can be begun for the view after this one. */
  exhaust(cell: number, view: number): number {
    const { place, packets } = this.#cells[cell];
    const { seat } = this.#places[place];
    const after = normalized({ ...seat, exhausted: seat.exhausted | (1 << view) }, this.#instance);
    return this.#cell(this.#placeId(after), packets);
  }

  /** Everything that the member may do. */
  moves(id: number): readonly Move[] {
    const cell = this.#cells[id];
    return cell.moves ??= this.#findMoves(cell);
  }

  #findMoves({ place: placeId, packets }: Cell): Move[] {
    const place = this.#places[placeId];
    const { seat } = place;
    place.events ??= eventsOf(this.#member(seat), this.#index, this.#mutation);
    const moves = place.events.map((event, number) => this.#move(place, packets, event, -1 - number));
    if (seat.stage === "done" || seat.stage === "out") return moves;
    for (const id of packets) {
      const packet = this.#instance.packet(id);
      if (packet.view !== seat.view) continue;
      const { after, step } = this.#step(place, { kind: "receive", packet }, id);
      // A packet that does nothing now is left where it is.
      if (after === placeId && step.sends.length === 0) continue;
      moves.push(this.#move(place, packets, { kind: "receive", packet }, id));
    }
    return moves;
  }

  #move(place: Place, packets: readonly number[], event: StepEvent, key: number): Move {
    const { after, step } = this.#step(place, event, key);
    const { seat } = place;
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

  #step(
    { seat, steps }: Place,
    event: StepEvent,
    key: number,
  ): { readonly after: number; readonly step: Step } {
    let known = steps.get(key);
    if (known === undefined) {
      const step = this.#member(seat).take(event);
      known = { after: this.#placeId(step.seat), step };
      steps.set(key, known);
    }
    return known;
  }

  #member(seat: Seat): ExplorerMember {
    const member = new ExplorerMember(this.#instance, this.#index, seat);
    this.#mutation?.plant(member);
    return member;
  }

  #placeId(seat: Seat): number {
    const key = seatKey(seat, this.#instance);
    let id = this.#placeIds.get(key);
    if (id === undefined) {
      id = this.#places.length;
      this.#places.push({ seat, steps: new Map(), cells: new Map(), matters: [], events: undefined });
      this.#placeIds.set(key, id);
    }
    return id;
  }

  #matters({ seat, matters }: Place, packet: number): boolean {
    return matters[packet] ??= !isDead(seat, this.#instance.packet(packet), this.#instance);
  }

  #cell(placeId: number, packets: readonly number[]): number {
    const place = this.#places[placeId];
    const alive = packets.filter((id) => this.#matters(place, id));
    const key = alive.join();
    let id = place.cells.get(key);
    if (id === undefined) {
      id = this.#cells.length;
      this.#cells.push({ place: placeId, packets: alive, puts: new Map(), moves: undefined });
      place.cells.set(key, id);
    }
    return id;
  }
}
