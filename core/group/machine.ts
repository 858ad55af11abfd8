/**
 * The group machine: reliable, ordered multicast among the members of agreed views, as a plain synchronous state machine.
 *
 * It takes inputs - a packet, a value to send, the application's progress, the time - and collects outputs: packets,
 * messages and events for the application, the next deadline. No sockets, timers, promises or clocks: a driver owns
 * those, be it a process or a simulator.
 *
 * Guarantees (fault model: crash and restart, pauses, partitions, loss, duplication, reordering and delay of packets; no
 * lies): one sequence of views; members that move together from one view to the next delivered the same messages in it;
 * integrity, FIFO without gaps, causal order where configured; at most one leader for each view.
 */
import { TuttiError } from "../base/errors.ts";
import type { Address, Incarnation } from "../base/ids.ts";
import type { Proposal } from "../membership/proposal.ts";
import { type Departure, rankIn } from "../membership/view.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { Kind, writeU64 } from "../wire/message.ts";
import { Admission } from "./admission.ts";
import { checkConfig, type GroupConfig, recordHead } from "./config.ts";
import { Delivery } from "./delivery.ts";
import { Giving } from "./giving.ts";
import { Journal } from "./journal.ts";
import { Membership } from "./membership.ts";
import { Ordering } from "./ordering.ts";
import { OwnDisk } from "./own_disk.ts";
import { Reception } from "./reception.ts";
import { Recovery } from "./recovery.ts";
import { Repair } from "./repair.ts";
import { Sending } from "./sending.ts";
import { GroupState } from "./state.ts";
import type { Stored, StoreWrite } from "./stored.ts";
import { checkRecord } from "./stored_record.ts";
import { Taking } from "./taking.ts";
import { encodeViewEntry } from "./transfer.ts";
import { Voter } from "./voter.ts";
import { Watch } from "./watch.ts";

/** How long one that has left tells those that may not know, in milliseconds. */
const LINGER_MS = 500;
/** How long the last member of a group tells those that left before it that they may go, in milliseconds. */
const LAST_LINGER_MS = 300;

/** One member of a group. */
export class GroupMachine {
  /** What the parts share; outputs are collected here. */
  readonly state: GroupState;
  /** The way to the application. */
  readonly delivery: Delivery;
  /** Heartbeats, NAKs and their answers. */
  readonly repair: Repair;
  /** What is said of the total order, if there is one. */
  readonly ordering: Ordering | undefined;
  /** Suspicion, quorum and lease. */
  readonly watch: Watch;
  /** View changes. */
  readonly membership: Membership;
  /** State for joiners. */
  readonly giving: Giving;
  /** State on the way in. */
  readonly taking: Taking;
  /** Greetings. */
  readonly admission: Admission;

  /** Votes for a former life, until this process is a member again. */
  voter: Voter | undefined = undefined;

  readonly #reception: Reception;
  readonly #sending: Sending;
  readonly #disk: OwnDisk;
  /** The view for which the members were told that this process is ready; 0 for none. */
  #readyTold = 0;
  #now = 0;
  /** What must outlive this process, in a durable group. */
  journal: Journal | undefined = undefined;
  #recovering = false;
  /** Once this member has left: until when it tells others. */
  #lingerUntil = Infinity;

  /** @throws {TuttiError} `InvalidArgument` */
  constructor(config: GroupConfig) {
    checkConfig(config);
    const state = new GroupState(config);
    this.state = state;
    this.#disk = new OwnDisk(state, this.#isDurable);
    this.delivery = new Delivery(state);
    this.#sending = new Sending(state, this.delivery);
    this.ordering = this.delivery.total === undefined ? undefined : new Ordering(state, this.delivery);
    this.repair = new Repair(state);
    this.repair.ordering = this.ordering;
    this.watch = new Watch(state, this.repair);
    this.giving = new Giving(state, this.delivery);
    this.membership = new Membership(state, this.delivery, this.repair, this.watch, {
      settle: () => this.#sending.settle(),
      candidates: () => this.admission.candidates(this.#now),
      putOff: (address) => this.admission.putOff(address, this.#now),
      gathering: (now) => this.admission.gathering(now),
      arrive: () => {
        if (state.phase !== "joining" || this.#recovering) return;
        this.journal?.begin(this.taking.taken);
        this.taking.arrive();
      },
      note: (proposal) => this.journal?.install(proposal),
      installed: (view, bases) => {
        const before = this.membership.archive?.roster.view.members ?? [];
        this.admission.installed(view, this.#now);
        this.admission.departed(
          before.filter(({ address }) => view.members.every((member) => member.address !== address)),
          this.#now,
        );
        this.giving.installed(view, bases, this.#now);
        this.voter = undefined;
        this.ordering?.entered();
        for (const stream of state.view.streams) this.#take(stream, 0);
        this.#sending.installed();
      },
      ask: () => this.admission.ask(this.#now, true),
      stranded: (decided) => {
        // Of a durable group whoever holds it comes back, with its disk.
        if (!this.#isDurable) this.#stranded(decided);
      },
      excluded: (reason, through) => this.#excluded(reason, through),
    });
    this.taking = new Taking(state, this.delivery, this.membership);
    this.admission = new Admission(state, this.membership, this.taking, this.giving, {
      excluded: () => this.#excluded(undefined, undefined),
      found: () => this.#found(),
      voter: () => this.voter,
    });
    this.#reception = new Reception(state, this);
    this.admission.start();
    if (this.#isDurable) this.journal = new Journal(state, 0, 0);
  }

  /**
   * Takes over what a former run of this process has left on disk. Called before anything else.
   *
   * @throws {TuttiError} `StoreFailed` when it is damaged, or another group's
   */
  recover(stored: Stored, now: number): void {
    const { state } = this;
    const { config } = state;
    this.#now = now;
    const last = stored.log.at(-1)?.last ?? stored.snapshot?.through ?? 0;
    if (stored.record === undefined) {
      if (last > 0) throw new TuttiError("StoreFailed", "Cannot join: the store has a log, and no record");
      return;
    }
    const record = checkRecord(stored.record, config);
    if (!this.#isDurable) {
      // Whoever said that it has placed a message, and forgot it, must not help to decide without it.
      const forgetful = config.order === "total" && config.level !== "agreed";
      if (!forgetful) this.voter = new Voter(state, record);
      return;
    }
    const bytes = stored.log.reduce((sum, batch) => sum + batch.bytes.length, 0);
    this.journal = new Journal(state, last, bytes);
    if (record.over) return;
    this.journal = undefined;
    this.#recovering = true;
    new Recovery(state, this.delivery, this.membership, this.watch).run(stored, record, now);
    this.#recovering = false;
    this.journal = new Journal(state, last, bytes);
  }

  /** What is to be on disk before anything that was put out leaves; `undefined` for nothing new. */
  takeWrite(): StoreWrite | undefined {
    // What the application has sent since the turn began, too: full packets of it may be on their way out.
    if (this.state.active && this.journal !== undefined) {
      this.#sending.settle();
      this.journal.note();
    }
    return this.#disk.take(this.journal);
  }

  /** What was taken last is on disk. */
  written(): void {
    this.#disk.wrote();
  }

  /** This application takes nothing more: own messages need not be confirmed by it. */
  release(): void {
    this.#disk.release();
  }

  /** Number of the present view; 0 while this is no member. */
  get viewNumber(): number {
    const { phase, roster } = this.state;
    return phase === "member" ? roster?.number ?? 0 : 0;
  }

  /**
   * Sends a value to all members, this one included.
   *
   * @param payload Copied before the call returns. At most `messageBytesMax` bytes; the caller has checked.
   * @param flags How it is encoded, and whether it is compressed.
   * @returns Its sequence (that of its last fragment), or 0 when it cannot be sent now: the send window has no room, or the next view is not there yet.
   */
  send(flags: number, payload: Uint8Array): number {
    const { state } = this;
    if (!state.active || state.blocked || state.leaving || state.restoring) return 0;
    const lamport = this.#sending.send(flags, payload);
    if (lamport === 0) {
      this.watch.refused(this.#now);
      return 0;
    }
    this.ordering?.sent(lamport);
    return state.own.last;
  }

  /** A packet arrived. Never throws for what a peer sent. The bytes belong to this member from now on. */
  receive(bytes: Uint8Array, now: number): void {
    this.#now = now;
    this.#reception.receive(bytes, now);
  }

  /** The application has taken a message of a stream, and all before it. */
  consumed(stream: ReceiveStream | undefined, sequence: number): void {
    if (stream === undefined) return;
    this.#take(stream, sequence);
  }

  /**
   * The application has taken over a state that it was given: what it sends from now on follows from that, unless it was given another
   * one meanwhile. Called once for each.
   */
  restored(): void {
    this.state.restores--;
  }

  /** The application's state, as wanted. @param snapshot `undefined` when it keeps none. */
  snapshotTaken(transfer: number, snapshot: Uint8Array | undefined): void {
    if (transfer < 0) this.journal?.snapshotTaken(-transfer, snapshot);
    else this.giving.snapshotTaken(transfer, snapshot);
  }

  /** The application could not give its state. */
  snapshotFailed(transfer: number, why: string): void {
    if (transfer < 0) {
      this.journal?.snapshotFailed(-transfer);
      this.state.warn("snapshot", `the log cannot be shortened: the snapshot failed: ${why}`);
    } else this.giving.snapshotFailed(transfer, why);
  }

  /** The transport gained or lost the path to somebody. */
  reachable(_address: Address, up: boolean, now: number): void {
    this.#now = now;
    if (!up) return;
    this.admission.reachable(now);
    if (this.state.phase === "member") this.repair.hasten(now);
  }

  /** Somebody who is not known reaches for this process. */
  stranger(address: Address, now: number): void {
    this.#now = now;
    if (this.state.phase !== "over") this.admission.stranger(address, now);
  }

  /** Somebody may be a member at an address: this process greets it if it looks for a group. */
  discovered(address: Address, now: number): void {
    this.#now = now;
    if (this.state.phase !== "over") this.admission.discovered(address, now);
  }

  /** Does what has become due. */
  tick(now: number): void {
    this.#now = now;
    const { state } = this;
    if (state.phase === "leaving" && now >= this.#lingerUntil) state.phase = "over";
    if (state.phase === "over" || state.phase === "leaving") return;
    this.watch.wake(now);
    this.admission.tick(now);
    if (state.phase === "joining") this.taking.tick(now);
    if (state.phase === "member") {
      this.watch.tick(now);
      this.giving.tick(now);
    }
    this.membership.tick(now);
    this.repair.tick(now);
    if (state.phase === "member" && state.leaving && state.view.size === 1) this.#endAlone();
  }

  /**
   * Ends a turn: closes the open packet, delivers own messages, sends the acknowledgements that are due, and carries a view
   * change on that waits for nothing else.
   *
   * @returns When `tick` is to be called next at the latest, in the driver's milliseconds.
   */
  flush(now: number): number {
    this.#now = now;
    const { state } = this;
    if (state.phase === "over") return Infinity;
    if (state.phase === "leaving") return this.#lingerUntil;
    if (state.phase === "joining") {
      this.taking.tick(now);
      const { ready } = this.taking;
      if (ready > this.#readyTold) this.admission.ask(now, true);
      this.#readyTold = ready;
    }
    this.membership.tick(now);
    let next = Infinity;
    if (state.roster?.self !== undefined && state.phase === "member") {
      this.#settle();
      this.watch.lead(now);
      this.#journal();
      next = this.#acknowledge(now);
      next = Math.min(next, this.watch.nextDeadline(now));
    }
    next = Math.min(
      next,
      this.repair.nextDeadline(),
      this.admission.nextDeadline(),
      this.membership.nextDeadline(now),
    );
    if (state.phase === "joining") next = Math.min(next, this.taking.nextDeadline());
    this.watch.expects(Math.max(next, now)); // what is overdue is no lateness of the timer
    return next;
  }

  /** Asks to leave. It is over once a view without this member is installed; until then it serves the others. */
  leave(now: number): void {
    this.#now = now;
    const { state } = this;
    if (state.leaving) return;
    state.leaving = true;
    this.giving.leave();
    if (state.phase === "joining") {
      state.phase = "over";
      return;
    }
    if (state.roster?.size === 1) return this.#endAlone();
    if (state.phase === "member") {
      this.repair.hasten(now);
      this.watch.heartbeat(now);
    }
  }

  /** The last member leaves. Others may have left just before it, and not know that they may go. */
  #endAlone(): void {
    const { state } = this;
    // No turn follows: what was sent in this one is delivered here, and goes into the journal, now.
    this.#settle();
    this.delivery.order.review(true);
    this.journal?.note();
    // What only this disk will have is not safe before it is there.
    state.deliveredThrough = this.journal !== undefined ? state.own.stable : state.own.last;
    const waiting = (this.membership.archive?.proposal.departed.length ?? 0) > 0;
    state.phase = waiting ? "leaving" : "over";
    this.#lingerUntil = this.#now + LAST_LINGER_MS;
  }

  /** What was sent in this turn is ordered, goes out, and is delivered here. */
  #settle(): void {
    const { ordering, state } = this;
    this.#order();
    if (this.#sending.isOpen) this.repair.announce(this.#now);
    this.#sending.settle();
    if (state.active && ordering?.tell() === true) this.#sending.settle(); // what was just delivered here
    if (ordering !== undefined) this.#take(state.view.leader.stream, 0);
  }

  /** Everything that has come goes into the journal; now and then the application's state replaces what is old of it. */
  #journal(): void {
    const { journal, state, delivery } = this;
    if (journal === undefined) return;
    journal.note();
    if (!journal.isLong || state.wedged || state.restoring) return;
    // Who has not installed this view may need what is on disk of the one before, even if this process ends meanwhile.
    for (const peer of state.view.others()) if (!peer.seen) return;
    const { view, streams } = state.view;
    const bases = streams.map(({ released }) => released);
    const number = journal.ask({ view, bases, lamport: state.clock.time, position: delivery.order.position });
    state.tell({ type: "snapshot", transfer: -number });
  }

  /** Founds a group, of this member alone. */
  #found(): void {
    this.membership.found(this.#now);
    const view = encodeViewEntry({ view: this.state.view.view, bases: [0], lamport: 0, position: 0 });
    this.journal?.begin({ snapshot: undefined, entries: [view] });
  }

  get #isDurable(): boolean {
    const { order, level } = this.state.config;
    return order === "total" && level === "durable";
  }

  /** What the others wait for, to know the total order. */
  #order(): void {
    const { ordering, state } = this;
    if (ordering === undefined) return;
    state.waiting = ordering.waiting;
    if (!state.active) return;
    const order = ordering.due();
    if (order !== undefined && !this.#sending.order(order)) this.watch.refused(this.#now);
    if (ordering.tell()) this.repair.announce(this.#now);
  }

  /** The application has taken a message of a stream; 0 for none, but it may be done with what is not for it. */
  #take(stream: ReceiveStream, sequence: number): void {
    const { own, loopback, roster } = this.state;
    stream.take(sequence);
    if (stream === loopback && roster?.self !== undefined) {
      own.acknowledge(roster.rank, stream.delivered, stream.delivered);
    }
  }

  /** This member cannot enter the next view: it votes in it from outside, for the others, and starts anew. */
  #stranded({ number, lineage, members, cut }: Proposal): void {
    const { state } = this;
    const { address, incarnation } = state.member;
    const { view, rank: before } = state.view;
    const rank = rankIn(members, address, incarnation);
    state.warn("stranded", `nobody has the rest of view ${view.number} any more: this member starts anew`);
    this.#excluded(undefined, before < 0 ? undefined : cut[before]);
    this.admission.start([...view.members, ...members].map((member) => member.address));
    if (rank < 0 || state.phase !== "joining") return;
    this.voter = new Voter(state, {
      ...recordHead(state.config),
      lineage,
      number,
      members,
      rank,
      run: 0,
      promised: 0,
      accepted: undefined,
      holds: [],
      returns: 0,
      over: false,
    });
  }

  /** This member is not in the next view: it starts anew, as a new life, unless it wanted to leave. */
  #excluded(reason: Departure | undefined, through: number | undefined): void {
    const { state } = this;
    const { view } = state.view;
    this.#sending.settle();
    const ownLast = state.own.last;
    if (this.journal !== undefined) this.membership.persist(true);
    this.membership.reset();
    this.giving.reset();
    this.taking.reset();
    this.delivery.order.clear();
    if (state.leaving) {
      state.deliveredThrough = through ?? state.own.stable;
      state.phase = "leaving";
      this.#lingerUntil = this.#now + LINGER_MS;
      return;
    }
    if (state.phase === "member") {
      state.tell({
        type: "evicted",
        incarnation: state.incarnation,
        view: view.number,
        reason,
        deliveredThrough: through === undefined ? undefined : Math.min(through, ownLast),
      });
    }
    this.#sending.reset();
    state.begin(Math.max(state.incarnation + 1, state.config.incarnation) as Incarnation);
    state.phase = "joining";
    this.admission.start(view.members.map(({ address }) => address));
  }

  /**
   * Sends the acknowledgements that are due: at once after a quiet time, then at most one per `ackDelayMs` and stream,
   * or per eighth of the window.
   */
  #acknowledge(now: number): number {
    const { view, loopback, config, wedged } = this.state;
    let next = Infinity;
    if (wedged) return next;
    for (const stream of view.streams) {
      if (stream === loopback || !stream.owesAcknowledgement) continue;
      const at = stream.acknowledgedAt + config.timing.ackDelayMs;
      const many = stream.unacknowledged * 8 >= config.limits.windowMessages ||
        (stream.delivered - stream.acknowledgedDelivered) * 8 >= config.limits.windowMessages;
      if (now >= at || many) this.acknowledge(stream, now);
      else if (at < next) next = at;
    }
    return next;
  }

  /** Acknowledges what was received and delivered of a stream, to its sender. */
  acknowledge(stream: ReceiveStream, now: number): void {
    const { unicast, counters, view } = this.state;
    const offset = unicast.begin(Kind.ack, 0, 0, 8, stream.received, stream.delivered);
    writeU64(unicast.view, offset, stream.incarnation);
    if (stream === view.leader.stream) this.ordering?.tellAlong();
    this.state.sendUnicast(stream.rank);
    counters.acksSent++;
    stream.acknowledged(now);
  }
}
