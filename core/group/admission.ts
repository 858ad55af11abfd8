/**
 * Admission: how a process finds its group, and how members let it in.
 *
 * A process without a view greets its seeds again and again. A member answers with the present view; then the newcomer
 * greets every member, takes the state of one, and says when it has caught up. Whoever proposes the next view takes those
 * that have.
 *
 * If nobody has a view, one process founds the group: the first of those expected, in the natural order of addresses, once
 * it hears as many as expected and none of them is a member. So a cold start forms one group, and nobody founds a second one
 * while it can hear a member of the first.
 */
import { type Address, compareNatural } from "../base/ids.ts";
import { memberMaps } from "../membership/proposal.ts";
import type { Member, View } from "../membership/view.ts";
import { encodeControl, parseControl } from "../wire/control.ts";
import { readRequest } from "../wire/exchange.ts";
import { Kind } from "../wire/message.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import { orderLabel } from "./config.ts";
import type { Giving } from "./giving.ts";
import { type Hello, readHeld, readHello, readOut, readPull, readRefusal, readWelcome } from "./greeting.ts";
import type { Membership } from "./membership.ts";
import type { GroupState } from "./state.ts";
import { HELLO_MS_MAX, Strangers, STRANGERS_MAX } from "./strangers.ts";
import type { Taking } from "./taking.ts";
import type { Voter } from "./voter.ts";

/** How long a stranger may go without a greeting before its connection is given up, in milliseconds. */
const STRANGER_MS = 30_000;
/** Most requests of clients that are taken in one turn. */
const REQUESTS_MAX = 4096;
/** Longest reason of a refusal, in UTF-16 code units: it must fit in the smallest packets. */
const REASON_LENGTH_MAX = 200;
/** Shortest time between two answers to the same stranger, in milliseconds. */
const ANSWER_MS = 5;

/** Greets, and judges greetings. */
export class Admission {
  readonly #state: GroupState;
  readonly #membership: Membership;
  readonly #taking: Taking;
  readonly #giving: Giving;
  /** Life that others must have to be in one's way: called when this process must start anew. */
  readonly #excluded: () => void;
  readonly #found: () => void;
  readonly #voter: () => Voter | undefined;
  /** Those who greeted. */
  readonly #strangers: Strangers;
  /** Those who are connected only because they asked for it, and since when nothing came of it. */
  readonly #idle = new Map<Address, number>();
  readonly #founders: readonly Address[];
  /** Members of the last view of a life that is over. */
  #contacts: readonly Address[] = [];
  /** Found by other means than the configuration. */
  readonly #discovered: Set<Address> = new Set();
  #helloAt = 0;
  #helloMs: number;
  /** When it first greeted since it has been looking for the group; `Infinity` for not yet. */
  #askedAt = Infinity;

  constructor(
    state: GroupState,
    membership: Membership,
    taking: Taking,
    giving: Giving,
    host: {
      readonly excluded: () => void;
      readonly found: () => void;
      readonly voter: () => Voter | undefined;
    },
  ) {
    this.#state = state;
    this.#membership = membership;
    this.#taking = taking;
    this.#giving = giving;
    this.#excluded = host.excluded;
    this.#found = host.found;
    this.#voter = host.voter;
    const { config } = state;
    this.#helloMs = config.timing.helloMs;
    this.#founders = config.expect === 0
      ? []
      : [...new Set([config.address, ...config.seeds])].sort(compareNatural);
    this.#strangers = new Strangers(state, this.#founders);
  }

  /** Starts to look for the group. @param contacts Members of it that are known; with some, no new group is ever founded. */
  start(contacts: readonly Address[] = []): void {
    this.#contacts = contacts;
    this.#strangers.clear();
    for (const address of [...this.#state.config.seeds, ...contacts]) this.#state.reach(address, true);
    this.#helloMs = this.#state.config.timing.helloMs;
    this.#helloAt = 0;
    this.#askedAt = Infinity;
  }

  /** Somebody who is not known reaches for this process. */
  stranger(address: Address, now: number): void {
    if (this.#idle.has(address) || this.#idle.size >= STRANGERS_MAX) return;
    this.#idle.set(address, now);
    this.#state.reach(address, true);
  }

  /** Another address at which a member may be. */
  discovered(address: Address, now: number): void {
    if (address === this.#state.config.address || this.#isContact(address)) return;
    if (this.#discovered.size >= STRANGERS_MAX) return;
    this.#discovered.add(address);
    this.#state.reach(address, true);
    this.reachable(now);
  }

  /** There is a path to somebody: worth a greeting, if this process has reason to greet. */
  reachable(now: number): void {
    this.#helloMs = this.#state.config.timing.helloMs;
    this.#helloAt = Math.min(this.#helloAt, now);
  }

  /** Where an unlabelled question of a joiner is answered to. */
  addressOf(incarnation: number): Address | undefined {
    return this.#strangers.addressOf(incarnation);
  }

  /** Those who have caught up with the present view. */
  candidates(now: number): Member[] {
    return this.#strangers.candidates(now);
  }

  /** A joiner has not confirmed a cut: it is not asked again at once. */
  putOff(address: Address, now: number): void {
    this.#strangers.putOff(address, now);
  }

  /** Whether it is worth waiting for more to be ready. */
  gathering(now: number): boolean {
    return this.#strangers.gathering(now);
  }

  /** A view was installed: who is in it is no stranger. */
  installed(view: View, now: number): void {
    for (const { address } of view.members) {
      this.#idle.delete(address);
    }
    this.#strangers.installed(view);
    this.reachable(now);
  }

  /** Members of a view that are none any more. */
  departed(members: readonly Member[], now: number): void {
    for (const { address } of members) if (!this.#idle.has(address)) this.#idle.set(address, now);
  }

  /** A packet from outside of any view arrived. */
  receive(reader: PacketReader, now: number): void {
    const { counters } = this.#state;
    const { incarnation } = reader;
    let sound = reader.next();
    if (sound) {
      switch (reader.kind) {
        case Kind.hello: {
          const hello = readHello(parseControl(reader));
          sound = hello !== undefined && hello.incarnation === incarnation && reader.a === incarnation;
          if (hello !== undefined && sound) this.#hello(hello, now);
          break;
        }
        case Kind.welcome: {
          const welcome = readWelcome(parseControl(reader));
          sound = welcome !== undefined;
          if (welcome?.incarnation === this.#state.incarnation) {
            this.#welcome(welcome.from, welcome.view, now);
            if (welcome.blocked) this.#tellWaiting(welcome.view);
          }
          break;
        }
        case Kind.refuse:
          sound = this.#refused(reader);
          break;
        case Kind.out:
          sound = this.#out(reader);
          break;
        case Kind.held: {
          const held = readHeld(parseControl(reader));
          sound = held !== undefined;
          if (held === undefined) break;
          // One that has greeted the proposer before may never have greeted this one.
          const { member } = this.#strangers.get(held.from) ?? {};
          if (member?.incarnation === incarnation || this.#membership.expects(held.from, incarnation)) {
            this.#membership.confirmed(held.from, incarnation, reader.a, reader.b - 1);
          } else counters.unknownSender++;
          break;
        }
        case Kind.pull: {
          const pull = readPull(parseControl(reader));
          sound = pull !== undefined;
          if (pull === undefined) break;
          if (this.#strangers.get(pull.from)?.member.incarnation === incarnation) {
            this.#giving.pull(pull, incarnation, now);
          } else counters.unknownSender++;
          break;
        }
        case Kind.install:
          this.#install(reader, now);
          break;
        case Kind.request:
          sound = this.#request(reader, now);
          break;
        case Kind.chunk:
          if (this.#state.phase === "joining") this.#taking.chunk(reader, now);
          break;
        default:
          sound = false;
      }
    }
    if (!sound) counters.malformed++;
  }

  /** A client wants something. @returns Whether it makes sense. */
  #request(reader: PacketReader, now: number): boolean {
    const { config, requests, counters, roster } = this.#state;
    const request = readRequest(reader);
    if (request === undefined) return false;
    const { from } = request;
    const isMember = from === config.address || roster?.at(from) !== undefined;
    if (config.replicas === undefined || request.group !== config.group || isMember) {
      counters.implausible++;
    } else if (requests.length < REQUESTS_MAX) {
      // It must be reached for, or it would never hear the answer.
      if (!this.#isContact(from) && !this.#strangers.has(from)) this.stranger(from, now);
      if (this.#idle.has(from)) this.#idle.set(from, now);
      requests.push(request);
    }
    return true;
  }

  /** Does what has become due. */
  tick(now: number): void {
    if (now >= this.#helloAt) this.#greet(now);
    for (const address of this.#strangers.forget(now)) this.#idle.set(address, now);
    for (const [address, since] of this.#idle) {
      if (now - since <= STRANGER_MS) continue;
      this.#idle.delete(address);
      if (this.#strangers.has(address) || this.#state.config.seeds.includes(address)) continue;
      this.#state.reach(address, false);
    }
    if (
      this.#state.phase === "joining" && this.#taking.known === undefined &&
      this.#strangers.mayFound(this.#contacts, this.#askedAt, now)
    ) this.#found();
  }

  /** When something of this is due next. */
  nextDeadline(): number {
    let next = this.#isSeeking() ? this.#helloAt : Infinity;
    for (const since of this.#idle.values()) next = Math.min(next, since + STRANGER_MS + 1);
    return next;
  }

  /** The state has changed in a way that members should know of soon. */
  hasten(now: number): void {
    this.#helloAt = Math.min(this.#helloAt, now);
  }

  /** Greets: it seems that this member has missed a view, or that others wait for this greeting. */
  ask(now: number, atOnce: boolean = false): void {
    if (atOnce || now >= this.#helloAt) this.#greet(now, true);
  }

  /** Who has no view, or is cut off from the rest of it, looks for members. */
  #isSeeking(): boolean {
    return this.#state.phase === "joining" || (this.#state.phase === "member" && this.#state.blocked);
  }

  #greet(now: number, asked: boolean = false): void {
    if (!asked && !this.#isSeeking()) {
      this.#helloAt = now + HELLO_MS_MAX;
      return;
    }
    const { config, roster, phase, incarnation } = this.#state;
    const view = phase === "member" ? roster?.view : undefined;
    const body = encodeControl(
      {
        group: config.group,
        name: config.name,
        address: config.address,
        incarnation,
        order: orderLabel(config),
        election: config.election,
        windowMessages: config.limits.windowMessages,
        windowBytes: config.limits.windowBytes,
        messageBytesMax: config.limits.messageBytesMax,
        suspectMinMs: Math.round(config.timing.suspectMinMs),
        founders: [...this.#founders],
        replicas: config.replicas ?? "",
        view: view?.number ?? 0,
        lineage: view?.lineage ?? 0,
        voter: phase === "joining" ? this.#voter()?.incarnation ?? 0 : 0,
        ready: phase === "joining" ? this.#taking.ready : 0,
      } satisfies Hello,
    );
    const known = view ?? this.#taking.known;
    const addresses = new Set([
      ...config.seeds,
      ...this.#contacts,
      ...this.#discovered,
      ...known?.members.map(({ address }) => address) ?? [],
    ]);
    for (const address of addresses) {
      if (address !== config.address) this.#state.sendOutside(address, Kind.hello, 0, incarnation, 0, body);
    }
    this.#askedAt = Math.min(this.#askedAt, now);
    this.#helloAt = now + this.#helloMs * this.#state.random.between(0.75, 1.25);
    this.#helloMs = Math.min(2 * this.#helloMs, HELLO_MS_MAX);
  }

  #hello(hello: Hello, now: number): void {
    const { roster, phase, config, counters } = this.#state;
    if (hello.address === config.address) {
      counters.implausible++;
      return;
    }
    const fault = this.#strangers.fault(hello);
    if (fault !== "") {
      counters.refused++;
      const later = roster?.at(hello.address)?.incarnation ??
        this.#strangers.get(hello.address)?.member.incarnation ?? 0;
      if (hello.incarnation >= later) {
        this.#state.warn("refused-peer", `${hello.name} at ${hello.address} is refused: ${fault}`);
      }
      return this.#refuse(hello, fault, later);
    }
    if (hello.view > 0) return this.#visitor(hello);
    if (this.#strangers.note(hello, now)) {
      this.#idle.delete(hello.address);
      this.#state.reach(hello.address, true);
    }
    if (phase !== "member" || roster?.self === undefined) return;
    const peer = roster.at(hello.address);
    if (peer !== undefined && peer.incarnation < hello.incarnation && peer !== roster.self) {
      peer.successor = hello.incarnation;
      if (hello.voter === peer.incarnation) peer.votesAt = now;
    }
    const stranger = this.#strangers.get(hello.address);
    if (stranger?.answeredAt !== undefined && now - stranger.answeredAt < ANSWER_MS) return;
    if (stranger !== undefined) stranger.answeredAt = now;
    // It may be in the view already, and have missed that.
    if (peer?.incarnation === hello.incarnation) this.#membership.laggards.sendView(hello.address);
    else this.#answer(hello, roster.view);
  }

  /** Somebody greets who has a view: it lacks a newer one, or this member does. */
  #visitor(hello: Hello): void {
    const { roster, phase } = this.#state;
    const { archive } = this.#membership;
    if (
      archive?.roster.number === hello.view &&
      archive.roster.find(hello.address, hello.incarnation) !== undefined
    ) {
      return this.#membership.laggards.sendView(hello.address); // also by one that is in that view no more
    }
    if (phase !== "member" || roster === undefined) return;
    if (hello.lineage !== roster.view.lineage) {
      this.#state.warn("another-group", `${hello.name} at ${hello.address} is in another group of this name`);
      return;
    }
    if (hello.view >= roster.number) return;
    if (roster.find(hello.address, hello.incarnation) !== undefined) {
      return this.#membership.laggards.sendView(hello.address);
    }
    const body = encodeControl({
      from: this.#state.config.address,
      incarnation: hello.incarnation,
      lineage: roster.view.lineage,
    });
    this.#state.sendOutside(hello.address, Kind.out, 0, roster.number, 0, body);
  }

  #answer(hello: Hello, { number, lineage, members, leader }: View): void {
    const body = encodeControl({
      from: this.#state.config.address,
      incarnation: hello.incarnation,
      number,
      lineage,
      members: memberMaps(members),
      leader,
      blocked: this.#state.blocked,
    });
    this.#state.sendOutside(hello.address, Kind.welcome, 0, number, 0, body);
  }

  #welcome(from: Address, view: View, now: number): void {
    const { phase } = this.#state;
    if (phase !== "joining") return;
    const known = this.#taking.known;
    if (known === undefined && !this.#isContact(from) && !this.#strangers.has(from)) {
      this.#state.counters.implausible++;
      return;
    }
    this.#taking.welcome(view, now);
    if (this.#taking.known !== known) this.reachable(now);
  }

  /** Somebody who joined with the next view tells of it: it has no rank in the view before. */
  #install(reader: PacketReader, now: number): void {
    const { phase, roster, counters } = this.#state;
    const from = parseControl(reader)?.from as Address;
    const view = roster?.view ?? this.#taking.known;
    const stranger = this.#strangers.get(from)?.member;
    const known = stranger?.incarnation === reader.incarnation || this.#isContact(from) ||
      this.#membership.expects(from, reader.incarnation) ||
      view?.members.some(({ address }) => address === from);
    if (!known) counters.unknownSender++;
    else if (view?.number !== reader.a - 1) return;
    else if (phase === "joining") this.#taking.install(reader, view, now);
    else if (phase === "member" && !this.#membership.told(reader, from, now)) counters.implausible++;
  }

  /** The group exists, and cannot let anybody in. */
  #tellWaiting({ number, members }: View): void {
    const names = members.map(({ name }) => name).join(", ");
    this.#state.warn(
      "no-quorum",
      `the group waits for a quorum of view ${number} (${names}): until then nobody can join`,
    );
  }

  #refused(reader: PacketReader): boolean {
    const state = this.#state;
    const refusal = readRefusal(parseControl(reader));
    if (refusal === undefined) return false;
    if (refusal.incarnation !== state.incarnation || state.phase === "over") return true; // meant for a former life
    const known = state.roster?.at(refusal.from) !== undefined || this.#isContact(refusal.from) ||
      this.#taking.known?.members.some(({ address }) => address === refusal.from);
    if (!known) {
      state.counters.implausible++;
      return true;
    }
    const label = state.roster?.at(refusal.from)?.name ?? refusal.from;
    if (reader.a > state.incarnation) {
      state.fatal = `${label} knows a later life of ${state.config.name}: another process has its name, ` +
        "or the clock of this machine was set back";
    }
    state.warn("refused", `${label} refuses this member: ${refusal.reason}`);
    return true;
  }

  #out(reader: PacketReader): boolean {
    const state = this.#state;
    const out = readOut(parseControl(reader));
    if (out === undefined) return false;
    const { phase, roster, incarnation } = state;
    if (out.incarnation !== incarnation || phase !== "member" || roster === undefined) return true;
    if (out.lineage !== roster.view.lineage || reader.a <= roster.number) return true;
    if (roster.at(out.from) === undefined && !this.#isContact(out.from)) {
      state.counters.implausible++;
      return true;
    }
    this.#excluded();
    return true;
  }

  #refuse(hello: Hello, why: string, later: number): void {
    const reason = why.slice(0, REASON_LENGTH_MAX);
    const body = encodeControl({ from: this.#state.config.address, reason, incarnation: hello.incarnation });
    this.#state.sendOutside(hello.address, Kind.refuse, 0, later > hello.incarnation ? later : 0, 0, body);
  }

  #isContact(address: Address): boolean {
    return this.#state.config.seeds.includes(address) || this.#contacts.includes(address) ||
      this.#discovered.has(address);
  }
}
