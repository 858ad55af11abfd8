/**
 * Ordering: what members tell each other about the total order, beside their messages: the leader its ORDERs, everybody what
 * they have placed, and, with Lamport's engine, what time it is.
 *
 * In small views everybody tells everybody what is placed, so that a majority is known one step sooner; in large ones members tell
 * the leader, who tells what a majority has. Of three members with a sequencer the leader, by its ORDERs, and any other one are a
 * majority: so only the leader need be told, and only by one of them at once; the other one says it along with its next
 * acknowledgement. Whatever is lost is said again with the next heartbeat.
 */
import { LamportEngine } from "../order/lamport.ts";
import type { Sequencer } from "../order/sequencer.ts";
import type { TotalOrder } from "../order/total.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { Kind } from "../wire/message.ts";
import type { PacketWriter } from "../wire/packet_writer.ts";
import type { Delivery } from "./delivery.ts";
import type { Carrier } from "./order_stage.ts";
import type { Peer } from "./roster.ts";
import type { GroupState } from "./state.ts";

/** Most members that tell everybody what they have placed. */
const EVERYBODY_MAX = 5;
/** Tells, and is told, about the total order. */
export class Ordering {
  readonly #state: GroupState;
  readonly #total: TotalOrder<ReceiveStream, Carrier>;
  readonly #sequencer: Sequencer | undefined;
  readonly #lamport: LamportEngine | undefined;
  readonly #uniform: boolean;
  /** What was told in the present view: what is placed, what a majority has placed, and the time. */
  #placedTold = 0;
  #committedTold = 0;
  #timeTold = 0;

  constructor(state: GroupState, { total, sequencer }: Delivery) {
    this.#state = state;
    this.#total = total as TotalOrder<ReceiveStream, Carrier>;
    this.#sequencer = sequencer;
    this.#lamport = total?.engine instanceof LamportEngine ? total.engine : undefined;
    this.#uniform = state.config.level !== "agreed";
  }

  /** Messages that may not be delivered yet: others may be waited for. */
  get waiting(): boolean {
    const { placed, committed, queues } = this.#total;
    return (this.#uniform && placed > committed) || queues.some((queue) => queue.size > 0);
  }

  /**
   * As a leader that is sure to lead: nobody has delivered anything behind this position, and nobody will before it gives further
   * ones; `undefined` if that is not for a leader to say.
   */
  get readIndex(): number | undefined {
    return this.#sequencer?.leaderHolds;
  }

  /** Whether the next own message to be delivered waits for nothing but the leader's ORDER. */
  get awaitsLeader(): boolean {
    const { placed, position, queues } = this.#total;
    return placed === position && (this.#sequencer?.awaits(queues, this.#state.view.rank) ?? false);
  }

  /** A view was entered. */
  entered(): void {
    this.#placedTold = this.#total.placed;
    this.#committedTold = this.#total.committed;
    this.#timeTold = 0;
  }

  /** An own message was sent. */
  sent(lamport: number): void {
    this.#total.unsent++;
    this.#timeTold = lamport;
  }

  /** As the leader: the ORDER that is due, as `Sequencer.assign` gives it. */
  due(): readonly number[] | undefined {
    return this.#sequencer?.assign(this.#total.queues, this.#total.unsent);
  }

  /** Writes what others wait for into the open packet for everybody. @returns Whether there was something. */
  tell(): boolean {
    const state = this.#state;
    const { unicast, own, clock, view } = state;
    const { placed, committed } = this.#total;
    let told = false;
    if (this.#lamport !== undefined && this.#lamport.newest > this.#timeTold) {
      this.#timeTold = clock.time;
      state.beginMulticast(Kind.tick, 0, 0, 0, own.last, clock.time);
      told = true;
    }
    if (!this.#uniform || view.size === 1) return told;
    const leads = view.leader === view.self;
    const few = view.size <= EVERYBODY_MAX;
    // The leader's ORDERs say what it has placed.
    const silent = leads && this.#sequencer !== undefined && few;
    const news = placed > this.#placedTold || (leads && !few && committed > this.#committedTold);
    if (!news || silent) return told;
    // What goes to everybody anyway takes it along.
    const leaderOnly = this.#sequencer !== undefined && this.#total.quorum() <= 2 &&
      state.multicast.openBytes === 0;
    if (leads || (few && !leaderOnly)) {
      this.#tell(state.multicast);
      return true;
    }
    if (leaderOnly && this.#isSpare()) { // heard in time even if the other one is not
      view.leader.stream.acknowledgementWanted = true;
      return told;
    }
    this.#tell(unicast);
    state.sendUnicast(view.leader.rank);
    return told;
  }

  /** An acknowledgement to the leader is being written: it takes along what is placed. */
  tellAlong(): void {
    const { view, unicast } = this.#state;
    if (this.#uniform && view.leader !== view.self && this.#total.placed > this.#placedTold) {
      this.#tell(unicast);
    }
  }

  /** A heartbeat is being written: it is followed by what may have been lost. */
  repeat(): void {
    const state = this.#state;
    if (this.#uniform && state.view.size > 1) {
      state.beginMulticast(Kind.placed, 0, 0, 0, this.#total.placed, this.#total.committed);
    }
    this.#timeTold = state.clock.time;
  }

  /** Whether another member is there, beside the leader, that tells at once what is placed. */
  #isSpare(): boolean {
    const { view } = this.#state;
    return view.rank !== (view.leader.rank + 1) % view.size;
  }

  #tell(packet: PacketWriter): void {
    const { placed, committed } = this.#total;
    this.#placedTold = placed;
    this.#committedTold = committed;
    if (packet === this.#state.multicast) this.#state.beginMulticast(Kind.placed, 0, 0, 0, placed, committed);
    else packet.begin(Kind.placed, 0, 0, 0, placed, committed);
  }

  /** A member has told what it has placed. */
  placed({ rank }: Peer, placed: number, committed: number): void {
    this.#total.acknowledge(rank, placed, committed);
  }

  /** A member has told its time. */
  heard({ rank, stream }: Peer, last: number, time: number): void {
    this.#lamport?.hear(rank, last, time, stream.handed);
    this.#total.review();
  }
}
