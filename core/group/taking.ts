/**
 * Taking state on the way into a group: the snapshot of a member, what it has delivered since, and, when a view change
 * asks for it, the rest of the cut from whoever holds it.
 *
 * Nothing of it reaches the application before this process is a member. When the giver dies, another one is asked; if its
 * snapshot is the same (it has the same digest), what was received of it is kept.
 */
import { concat } from "../base/bytes.ts";
import type { Proposal } from "../membership/proposal.ts";
import { type Member, rankIn, type View } from "../membership/view.ts";
import { encodeControl } from "../wire/control.ts";
import { PULL_RUNS_MAX } from "../wire/limits.ts";
import { Kind, readU64 } from "../wire/message.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import { Ahead } from "./ahead.ts";
import { readNext } from "./change_messages.ts";
import type { Delivery } from "./delivery.ts";
import type { Membership } from "./membership.ts";
import type { GroupState } from "./state.ts";
import { Tail } from "./tail.ts";
import {
  ANSWER_BYTES_MAX,
  ANSWER_BYTES_MIN,
  CHUNK_FIXED_BYTES,
  ChunkFlag,
  digestOf,
  ENTRY_FIXED_BYTES,
} from "./transfer.ts";

/** First time after which a PULL that was not answered is repeated, in milliseconds; doubled each time. */
const PULL_MS = 30;
/** Longest time after which a PULL is repeated, in milliseconds. */
const PULL_MS_MAX = 500;
/** How long a view is believed to exist while no member answers, in milliseconds. */
const FORGET_MS = 15_000;
/** PULLs in a row without an answer after which another giver is asked. */
const PULLS_MAX = 6;
/** How long the first giver may take to have its application's state, in milliseconds; doubled for each that follows. */
const PATIENCE_MS = 5000;
const PATIENCE_MS_MAX = 600_000;
/** How long this process waits after a member could give nothing, in milliseconds; doubled each time. */
const ABORT_MS = 20;
/** Longest such time, in milliseconds. */
const ABORT_MS_MAX = 2000;
/** How soon more is asked for when everything there is was received, in milliseconds. */
const IDLE_MS = 20;

/** Pulls state, and holds cuts. */
export class Taking {
  readonly #state: GroupState;
  readonly #delivery: Delivery;
  readonly #membership: Membership;
  /** The newest view known, to be joined. */
  #known: View | undefined = undefined;
  #giver: Member | undefined = undefined;
  #giverCount = 0;
  /** When a member last told of a view. */
  #welcomedAt = 0;
  #transfer = 0;
  #pullAt = Infinity;
  /** How long the present giver may take to have its application's state. */
  #patienceMs = PATIENCE_MS;
  #pullMs = PULL_MS;
  /** How long an answer may take, as the last one says: `#pullMs` begins with that, and doubles while none comes. */
  #answerMs = PULL_MS;
  /** When the last question was asked, and since when this giver is. */
  #pulledAt = 0;
  #answeredAt = 0;
  #giverAt = 0;
  /** Bytes to ask for at a time. */
  #wanted: number = ANSWER_BYTES_MIN;
  /** How many givers in a row could give nothing. */
  #aborts = 0;
  #pulls = 0;
  /** First byte not received of the giver's sequence. */
  #offset = 0;
  /** What came of it behind that. */
  readonly #ahead = new Ahead();
  #total = 0;
  #ready = false;
  #final = false;
  #stateful = false;
  #snapshot: Uint8Array = new Uint8Array(0);
  /** Bytes of the snapshot that have come. */
  #filled = 0;
  #digest = "";
  #pending: Uint8Array = new Uint8Array(0);
  #tail: Tail;
  /** The cut to hold. */
  #cut: { readonly ballot: number; readonly proposal: Proposal; readonly proposer: Member } | undefined =
    undefined;
  #confirmedBallot = 0;
  #installing: Proposal | undefined = undefined;

  constructor(state: GroupState, delivery: Delivery, membership: Membership) {
    this.#state = state;
    this.#delivery = delivery;
    this.#tail = new Tail(state);
    this.#membership = membership;
  }

  /** The newest view known. */
  get known(): View | undefined {
    return this.#known;
  }

  /** Number of the view with whose messages this process has caught up; 0 while it has not. */
  get ready(): number {
    // What is left is one answer away: the rest comes while the view changes.
    const left = this.#total - this.#offset - this.#ahead.bytes;
    return this.#ready && left <= this.#wanted ? this.#tail.view?.number ?? 0 : 0;
  }

  /** A member has said what the present view is. */
  welcome(view: View, now: number): void {
    const known = this.#known;
    if (known !== undefined && view.lineage !== known.lineage) {
      this.#state.warn(
        "another-group",
        `two groups of this name exist: one was founded as ${view.lineage}, one as ${known.lineage}`,
      );
      return;
    }
    this.#welcomedAt = now;
    if (known !== undefined && view.number <= known.number) return;
    this.#known = view;
    for (const { address } of view.members) this.#state.reach(address, true);
    const { address, incarnation } = this.#state.member;
    if (rankIn(view.members, address, incarnation) < 0) {
      // The view that this process was to be in, if any, has gone by without it.
      if (this.#installing !== undefined && view.number > this.#installing.number) {
        this.#installing = undefined;
      }
      if (this.#installing === undefined) this.#drop();
    } else if (this.#state.roster !== undefined) {
      return; // what is held is what it needs: the INSTALL is on its way
    }
    if (this.#giver === undefined || rankIn(view.members, this.#giver.address, this.#giver.incarnation) < 0) {
      this.#another(now);
    }
  }

  /** A CHUNK arrived, from a life that says it is the giver. */
  chunk(reader: PacketReader, now: number): void {
    const { counters, config } = this.#state;
    // What is held for a cut may be counted on by now, whatever becomes of the giver.
    if (this.#state.roster !== undefined) return;
    const { a: transfer, b: offset, flags, bytes, bodyStart, bodyEnd } = reader;
    if (
      this.#giver?.incarnation !== reader.incarnation || (this.#transfer !== 0 && transfer !== this.#transfer)
    ) return;
    if ((flags & ChunkFlag.aborted) !== 0) {
      const { address } = this.#giver;
      this.#state.warn("transfer", `${address} cannot give its state; another member is asked`);
      this.#another(now);
      this.#pullAt = now + Math.min(ABORT_MS_MAX, ABORT_MS * 2 ** this.#aborts++);
      return;
    }
    if (bodyEnd - bodyStart < CHUNK_FIXED_BYTES || transfer === 0) {
      counters.malformed++;
      return;
    }
    const total = readU64(reader.view, bodyStart);
    const snapshotBytes = readU64(reader.view, bodyStart + 8);
    const body = bytes.subarray(bodyStart + CHUNK_FIXED_BYTES, bodyEnd);
    if (snapshotBytes < 0 || total < snapshotBytes || total < offset + body.length) {
      counters.malformed++;
      return;
    }
    const { snapshotBytesMax } = config.limits;
    if (snapshotBytes > snapshotBytesMax) {
      this.#state.warn(
        "transfer",
        `the state of the group has ${snapshotBytes} bytes, more than ${snapshotBytesMax} (limits.snapshotBytesMax)`,
      );
      return;
    }
    this.#transfer = transfer;
    this.#answeredAt = now;
    this.#pulls = 0;
    if ((flags & ChunkFlag.ready) === 0 && now - this.#giverAt > this.#patienceMs) {
      this.#patienceMs = Math.min(2 * this.#patienceMs, PATIENCE_MS_MAX);
      return this.#another(now);
    }
    // While an answer comes in nothing is asked; the next question takes as long as the last answer did, and some.
    const isLast = (flags & ChunkFlag.last) !== 0;
    if (isLast) {
      this.#answerMs = Math.min(PULL_MS_MAX, Math.max(PULL_MS, 4 * (now - this.#pulledAt)));
      this.#pullMs = this.#answerMs;
    }
    this.#pullAt = now + (isLast ? IDLE_MS : this.#pullMs);
    if ((flags & ChunkFlag.ready) === 0) return;
    const digest = bytes.subarray(bodyStart + 16, bodyStart + CHUNK_FIXED_BYTES).join(",");
    this.#aborts = 0;
    if (!this.#ready) this.#start(snapshotBytes, digest, (flags & ChunkFlag.stateful) !== 0);
    if (total >= this.#total) { // else it was delayed, and what it says of the end is out of date
      this.#total = total;
      this.#final = (flags & ChunkFlag.final) !== 0;
    }
    this.#arrived(offset, body, now);
    if (isLast) {
      // More at a time while answers come whole, to catch up with a busy group; less when something was lost.
      this.#wanted = this.#ahead.bytes === 0
        ? Math.min(ANSWER_BYTES_MAX, 2 * this.#wanted)
        : Math.max(ANSWER_BYTES_MIN, this.#wanted >> 1);
      if (this.#offset < this.#total) this.#pullAt = now;
    }
    if (this.#offset >= this.#total) this.#advance(now);
  }

  /** A CUT arrived from a member of the view to be left. */
  cut(reader: PacketReader, view: View, proposer: Member, now: number): void {
    const proposal = readNext(reader, view.number, view.lineage, view.members.length);
    if (proposal === undefined || reader.b !== proposal.number) {
      this.#state.counters.malformed++;
      return;
    }
    if (this.#installing !== undefined) return;
    if (reader.a < (this.#cut?.proposal.number === proposal.number ? this.#cut.ballot : 0)) return;
    this.#cut = { ballot: reader.a, proposal, proposer };
    if (this.#state.roster?.number === view.number) this.#membership.fetch(proposal);
    this.#advance(now);
    if (this.#state.roster?.number !== view.number) this.#hasten();
    else if (this.#confirmedBallot === reader.a) this.#confirm();
  }

  /** An INSTALL arrived, from a member of the view before, or from one that has joined with the view. */
  install(reader: PacketReader, view: View, now: number): void {
    const proposal = readNext(reader, view.number, view.lineage, view.members.length);
    if (proposal === undefined) {
      this.#state.counters.malformed++;
      return;
    }
    const { address, incarnation } = this.#state.member;
    const { number, lineage, members, leader } = proposal;
    if (rankIn(members, address, incarnation) < 0) {
      if (this.#state.roster?.number === view.number) this.#drop();
      return this.welcome({ number, lineage, members, leader }, now);
    }
    if (this.#installing === undefined && this.#state.roster?.number === view.number) {
      this.#membership.fetch(proposal);
    }
    this.#installing = proposal;
    this.#advance(now);
  }

  /** Does what has become due. */
  tick(now: number): void {
    // A view for which nobody answers any more may be gone for good: whoever is there may found anew.
    if (this.#known !== undefined && now - this.#welcomedAt > FORGET_MS) this.#forget();
    if (now >= this.#pullAt) this.#pull(now);
    this.#advance(now);
  }

  /** When something of this is due next. */
  nextDeadline(): number {
    return this.#pullAt;
  }

  /** What came, to be stored: the snapshot, and entries. */
  get taken(): { readonly snapshot: Uint8Array | undefined; readonly entries: readonly Uint8Array[] } {
    return { snapshot: this.#stateful ? this.#snapshot : undefined, entries: this.#tail.entries };
  }

  /** Delivers what came: the snapshot and the tail. */
  arrive(): void {
    this.#tail.deliver(this.#delivery, this.#stateful ? this.#snapshot : undefined, false);
    this.reset();
  }

  #forget(): void {
    this.#drop();
    this.reset();
  }

  /** Forgets everything. */
  reset(): void {
    this.#known = undefined;
    this.#giver = undefined;
    this.#pullAt = Infinity;
    this.#cut = undefined;
    this.#confirmedBallot = 0;
    this.#installing = undefined;
    this.#begin();
    this.#snapshot = new Uint8Array(0);
    this.#filled = 0;
    this.#digest = "";
  }

  /** Asks another member, or the same one anew if there is no other. */
  #another(now: number): void {
    const known = this.#known;
    if (known === undefined) return;
    // Members that this process knows best come first; then round, so that no dead one is asked for ever.
    const first = Math.floor(this.#state.random.between(0, known.members.length));
    this.#giver = known.members[(first + this.#giverCount++) % known.members.length];
    if (this.#state.roster !== undefined) this.#drop();
    this.#begin();
    this.#giverAt = now;
    this.#pullAt = now;
  }

  /** Nothing of the tail was received; of the snapshot the same bytes may serve again. */
  #begin(): void {
    this.#transfer = 0;
    this.#answerMs = PULL_MS;
    this.#pullMs = PULL_MS;
    this.#pulls = 0;
    this.#offset = 0;
    this.#ahead.clear();
    this.#total = 0;
    this.#ready = false;
    this.#final = false;
    this.#stateful = false;
    this.#pending = new Uint8Array(0);
    this.#tail = new Tail(this.#state);
    this.#confirmedBallot = 0;
  }

  /** The first CHUNK of a transfer has come. */
  #start(snapshotBytes: number, digest: string, stateful: boolean): void {
    this.#ready = true;
    this.#stateful = stateful;
    if (digest === this.#digest && this.#snapshot.length === snapshotBytes) this.#offset = this.#filled;
    else {
      this.#snapshot = new Uint8Array(snapshotBytes);
      this.#filled = 0;
      this.#digest = digest;
    }
  }

  /** The group waits for the end of the tail, and not for long: what is lost is asked for again as soon as it must be. */
  #hasten(): void {
    this.#pulls = 0; // so many in so short a time say nothing of the giver
    this.#pullMs = Math.min(this.#pullMs, this.#answerMs);
    this.#pullAt = Math.min(this.#pullAt, Math.max(this.#pulledAt, this.#answeredAt) + this.#answerMs);
  }

  #pull(now: number): void {
    if (this.#giver === undefined || this.#state.roster !== undefined) { // what is missing of a cut comes from everybody
      this.#pullAt = Infinity;
      return;
    }
    if (++this.#pulls > PULLS_MAX) {
      this.#another(now);
      this.#pulls = 1;
    }
    const runs = this.#ahead.runs(this.#offset, PULL_RUNS_MAX);
    // What is held beyond the last run that can be told is not to be sent again.
    const untold = runs.length === PULL_RUNS_MAX;
    const missing = untold
      ? runs.reduce((sum, bytes, index) => sum + (index % 2 === 0 ? bytes : 0), 0)
      : Infinity;
    const body = encodeControl({
      from: this.#state.config.address,
      transfer: this.#transfer,
      offset: this.#offset,
      bytes: Math.min(this.#wanted, ANSWER_BYTES_MAX - this.#ahead.bytes, missing),
      runs,
    });
    this.#state.sendOutside(this.#giver.address, Kind.pull, 0, 0, 0, body);
    this.#pulledAt = now;
    this.#pullAt = now + this.#pullMs;
    this.#pullMs = Math.min(2 * this.#pullMs, PULL_MS_MAX);
  }

  /** Takes what has come if it goes on from what was taken, and whatever that was missing before; else keeps it. */
  #arrived(offset: number, bytes: Uint8Array, now: number): void {
    if (offset > this.#offset) {
      // No more than is asked for: so much is held at the most.
      if (offset + bytes.length <= this.#offset + ANSWER_BYTES_MAX) this.#ahead.keep(offset, bytes);
      return;
    }
    if (offset + bytes.length <= this.#offset) return;
    const transfer = this.#transfer;
    this.#take(bytes.subarray(this.#offset - offset), now);
    for (const piece of this.#ahead.take(this.#offset)) {
      if (this.#transfer === transfer) this.#take(piece, now);
    }
  }

  /** Takes what follows in the giver's sequence. */
  #take(bytes: Uint8Array, now: number): void {
    this.#offset += bytes.length;
    let rest = bytes;
    const missing = this.#snapshot.length - this.#filled;
    if (missing > 0) {
      const part = rest.subarray(0, missing);
      this.#snapshot.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (part.length === missing && digestOf(this.#snapshot).join(",") !== this.#digest) {
        this.#state.warn("transfer", "a snapshot arrived damaged; it is asked for again");
        this.#digest = "";
        return this.#another(now);
      }
    }
    this.#pending = this.#pending.length === 0 ? rest : concat([this.#pending, rest]);
    let start = 0;
    const view = new DataView(this.#pending.buffer, this.#pending.byteOffset, this.#pending.byteLength);
    while (this.#pending.length - start >= ENTRY_FIXED_BYTES) {
      const end = start + ENTRY_FIXED_BYTES + view.getUint32(start + 4);
      if (end > this.#pending.length) break;
      const body = this.#pending.slice(start + ENTRY_FIXED_BYTES, end);
      if (!this.#tail.take(view.getUint8(start), view.getUint16(start + 2), body)) {
        this.#state.counters.malformed++;
        return this.#another(now);
      }
      start = end;
    }
    this.#pending = this.#pending.slice(start);
  }

  /** Looks whether the cut, or the view that was decided, can be taken now. */
  #advance(now: number): void {
    const target = this.#installing ?? this.#cut?.proposal;
    if (target === undefined) return;
    const state = this.#state;
    const before = target.number - 1;
    if (state.roster?.number !== before) {
      // The tail must have come to its end in that view: what is missing of the cut is then held by others.
      const { view, bases, position } = this.#tail;
      if (view?.number !== before || this.#offset < this.#total || !this.#final) return;
      if (state.roster !== undefined) this.#membership.unobserve();
      this.#confirmedBallot = 0;
      this.#membership.observe(view, bases, position, now);
      this.#membership.fetch(target);
    }
    // What the giver has delivered is in the cut if it has answered. If not, it may be on its way out, with messages that
    // nobody else ever delivers: then this process needs the state of another one. Each proposal has a cut of its own.
    if (this.#tail.bases.some((base, rank) => base > target.cut[rank]) || !this.#isKept(target)) {
      return this.#another(now);
    }
    if (!this.#membership.holds(target.cut)) {
      return this.#installing === undefined ? undefined : this.#membership.abandon(this.#installing);
    }
    if (this.#installing !== undefined) {
      const proposal = this.#installing;
      this.#installing = undefined;
      return this.#membership.learn(proposal, now);
    }
    if (this.#cut !== undefined && this.#confirmedBallot !== this.#cut.ballot) {
      this.#confirmedBallot = this.#cut.ballot;
      this.#confirm();
    }
  }

  /**
   * Whether the giver moves on. What one that does not has delivered as `agreed` may have another place in the end.
   */
  #isKept({ members }: Proposal): boolean {
    const { order, level } = this.#state.config;
    const giver = this.#giver;
    return order !== "total" || level !== "agreed" ||
      (giver !== undefined && rankIn(members, giver.address, giver.incarnation) >= 0);
  }

  #confirm(): void {
    const cut = this.#cut;
    if (cut === undefined) return;
    const body = encodeControl({ from: this.#state.config.address });
    this.#state.sendOutside(cut.proposer.address, Kind.held, 0, cut.ballot, cut.proposal.number, body);
  }

  /** The view changed without this process: it goes on pulling. */
  #drop(): void {
    this.#cut = undefined;
    this.#confirmedBallot = 0;
    this.#final = false;
    this.#pullAt = 0;
    if (this.#state.roster !== undefined) this.#membership.unobserve();
  }
}
