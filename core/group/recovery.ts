/**
 * Recovery: makes a member of a durable group anew from its journal (see journal.ts), wedged in the view that it was in.
 *
 * The journal is fed to the same parts that it came from, in the same order; so what they hold afterwards is what they held.
 * Nothing is sent meanwhile, and the application gets its snapshot and what was delivered behind it once more.
 */
import { copyBytes } from "../base/bytes.ts";
import { TuttiError } from "../base/errors.ts";
import type { BallotRecord } from "../membership/ballot_record.ts";
import { type Proposal, readProposal } from "../membership/proposal.ts";
import { isSameMember, type View } from "../membership/view.ts";
import { parseControlBytes } from "../wire/control.ts";
import { Kind } from "../wire/message.ts";
import { PacketReader } from "../wire/packet_reader.ts";
import type { Delivery } from "./delivery.ts";
import { departedOf } from "./installation.ts";
import type { Membership } from "./membership.ts";
import { Outputs } from "./outputs.ts";
import { Peer, Roster } from "./roster.ts";
import type { GroupState } from "./state.ts";
import type { Stored } from "./stored.ts";
import { Tail } from "./tail.ts";
import { ENTRY_FIXED_BYTES, EntryKind } from "./transfer.ts";
import type { Watch } from "./watch.ts";

interface Entry {
  readonly kind: number;
  readonly rank: number;
  readonly body: Uint8Array;
}

/** Makes a member anew. */
export class Recovery {
  readonly #state: GroupState;
  readonly #delivery: Delivery;
  readonly #membership: Membership;
  readonly #watch: Watch;
  readonly #reader = new PacketReader();
  #now = 0;

  constructor(state: GroupState, delivery: Delivery, membership: Membership, watch: Watch) {
    this.#state = state;
    this.#delivery = delivery;
    this.#membership = membership;
    this.#watch = watch;
  }

  /**
   * Comes back.
   *
   * @param record What was promised.
   * @throws {TuttiError} `StoreFailed` when record, snapshot and log do not fit together
   */
  run({ snapshot, log }: Stored, record: BallotRecord, now: number): void {
    const state = this.#state;
    this.#now = now;
    if (snapshot === undefined) throw damaged("there is a record, and no snapshot");
    state.begin(record.members[record.rank].incarnation);
    this.#begin([...entriesOf(snapshot.bytes)]);
    for (const { first, bytes } of log) {
      let number = first - 1;
      for (const { kind, rank, body } of entriesOf(bytes)) {
        if (++number <= snapshot.through) continue; // the batch was on its way when the snapshot was asked for
        if (kind === EntryKind.packet) this.#packet(rank, body);
        else if (kind === EntryKind.install) this.#install(body);
        else throw damaged(`the log has an entry of kind ${kind}`);
      }
    }
    if (state.roster?.self === undefined || state.roster.number !== record.number) {
      throw damaged(
        `the log ends in view ${state.roster?.number}, and the record is of view ${record.number}`,
      );
    }
    for (const stream of state.roster.streams) {
      // What came behind its answer, if it gave one, need not be in the cut.
      stream.through = record.holds[stream.rank] ?? Infinity;
      if (stream !== state.loopback) this.#delivery.handHeld(stream);
    }
    this.#delivery.order.review();
    this.#membership.comeBack(record, now);
    this.#quiet();
  }

  /** Where the journal begins. */
  #begin(entries: readonly Entry[]): void {
    const tail = new Tail(this.#state);
    let app: Uint8Array | undefined;
    const packets: Entry[] = [];
    for (const entry of entries) {
      if (entry.kind === EntryKind.snapshot) app = entry.body;
      else if (entry.kind === EntryKind.packet) packets.push(entry);
      else if (!tail.take(entry.kind, entry.rank, entry.body)) throw damaged("the snapshot makes no sense");
    }
    const { view, bases, position } = tail;
    if (view === undefined) throw damaged("the snapshot is of no view");
    tail.deliver(this.#delivery, app, true);
    if (view.members.some((member) => isSameMember(member, this.#state.member))) {
      this.#enter(view, bases, position, packets);
    } else this.#membership.observe(view, bases, position, this.#now);
    for (const { rank, body } of packets) this.#packet(rank, body);
  }

  /** As a member of a view, that has delivered something of it. */
  #enter(view: View, bases: readonly number[], position: number, packets: readonly Entry[]): void {
    const state = this.#state;
    const firsts = bases.map((base) => base + 1);
    for (const { rank, body } of packets) {
      const first = this.#open(body).dataFirst;
      if (first < firsts[rank]) firsts[rank] = first;
    }
    const peers = view.members.map((member, rank) => {
      const own = isSameMember(member, state.member);
      const stream = own ? state.loopback : state.stream(rank, member.incarnation, firsts[rank]);
      stream.rank = rank;
      const peer = new Peer(rank, member, stream);
      if (!own) peer.detector = this.#watch.detector(this.#now);
      return peer;
    });
    for (const { rank, stream } of peers) stream.resume(bases[rank]);
    const roster = new Roster(view, peers, state.member);
    state.own.last = bases[roster.rank];
    state.own.stable = firsts[roster.rank] - 1;
    this.#membership.recover(roster, position, this.#now);
    this.#hold();
  }

  #packet(rank: number, packet: Uint8Array): void {
    const { own, loopback, clock, view } = this.#state;
    const { dataFirst, dataLast } = this.#open(packet);
    const stream = view.streams[rank];
    if (stream === undefined || dataFirst === 0) throw damaged("a packet makes no sense");
    const time = this.#timeOf(packet);
    if (time > clock.time) clock.observe(time);
    if (stream !== loopback || view.self === undefined) {
      return stream.recover(dataFirst, dataLast, packet);
    }
    own.store.add(dataFirst, dataLast, copyBytes(packet));
    if (dataLast <= stream.received) return;
    own.last = dataLast;
    this.#delivery.handOwn(copyBytes(packet));
    stream.logged = stream.received;
    stream.replayedThrough = stream.received;
  }

  #install(body: Uint8Array): void {
    const { view } = this.#state;
    const proposal: Proposal | undefined = readProposal(parseControlBytes(body), view.size);
    if (proposal === undefined || proposal.number !== view.number + 1) throw damaged("a view makes no sense");
    this.#membership.learn(proposal, this.#now);
    if (this.#state.roster?.number !== proposal.number) {
      throw damaged(`messages of view ${view.number} are missing`);
    }
    this.#hold();
  }

  /** What came behind the cut of a view is in the log too: nothing is handed on before that is known. */
  #hold(): void {
    for (const stream of this.#state.view.streams) {
      if (stream !== this.#state.loopback) stream.through = stream.handed;
    }
  }

  #open(packet: Uint8Array): PacketReader {
    if (this.#reader.open(packet) !== "") throw damaged("a packet is malformed");
    return this.#reader;
  }

  /** The time of the last message of a packet. */
  #timeOf(packet: Uint8Array): number {
    const reader = this.#open(packet);
    let time = 0;
    while (reader.next()) if (reader.kind === Kind.data) time = reader.b;
    return time;
  }

  /** Others know all this; and of events the application needs to know only in which view it is. */
  #quiet(): void {
    const state = this.#state;
    state.packets = [];
    state.destinations = [];
    const { outputs } = state;
    state.outputs = new Outputs();
    outputs.forEach((output, stream) => {
      if (output.type === "message") output.replayed = true;
      else if (output.type !== "restore") return;
      state.outputs.push(output, stream);
    });
    const { roster, proposal } = this.#membership.archive ?? {};
    const { view } = state.view;
    const joined = view.members.filter(({ address, incarnation }) =>
      roster?.find(address, incarnation) === undefined
    );
    const departed = roster === undefined || proposal === undefined ? [] : departedOf(roster, proposal);
    state.tell({ type: "view", view, joined, departed });
  }
}

/** The entries of a piece of journal. */
function* entriesOf(bytes: Uint8Array): Iterable<Entry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start < bytes.length;) {
    if (bytes.length - start < ENTRY_FIXED_BYTES) throw damaged("an entry is cut off");
    const end = start + ENTRY_FIXED_BYTES + view.getUint32(start + 4);
    if (end > bytes.length) throw damaged("an entry is cut off");
    yield {
      kind: view.getUint8(start),
      rank: view.getUint16(start + 2),
      body: bytes.slice(start + ENTRY_FIXED_BYTES, end),
    };
    start = end;
  }
}

function damaged(what: string): TuttiError {
  return new TuttiError(
    "StoreFailed",
    `Cannot join: the store is damaged: ${what}; restore it, or use an empty one`,
  );
}
