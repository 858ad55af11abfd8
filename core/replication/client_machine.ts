/**
 * A client of a group, as a plain synchronous machine: calls go in, requests to members come out, and what became of each call.
 *
 * A call is repeated, to one member after the other, until it is answered or given up. It never doubles an effect: a command
 * keeps its session and its number however often it is sent, and the group applies it once. (Fault model: members that crash,
 * pause and change; requests and replies that are lost, repeated, delayed and overtaken; no lies.)
 *
 * Source: RIFL (Lee et al., SOSP 2015), section 4; back-off with jitter.
 */
import type { Address } from "../base/ids.ts";
import type { Random } from "../base/random.ts";
import { type Reply, type Request, RequestKind } from "../wire/exchange.ts";
import { Encoding } from "../wire/message.ts";
import type { EncodedValue } from "../wire/value.ts";
import { LayoutReader } from "./layout.ts";
import { MemberChoice } from "./member_choice.ts";
import { type Outcome, OutcomeCode } from "./outcome.ts";

/** Times of a client, in milliseconds, and its bounds. */
export interface ClientSettings {
  /** How long it waits for an answer before it asks another member; twice as long each time, up to 8 times. */
  readonly attemptMs: number;
  /** Shortest time before it repeats a call; twice as long each time, up to 40 times, less a random part. */
  readonly backoffMs: number;
  /** How long a member may wait for news before it says that there are none. */
  readonly pollMs: number;
  /** A session that was not used for so long is looked after before it is used again. */
  readonly renewMs: number;
  /** Most calls that are on their way. */
  readonly outstandingMax: number;
  /** Most calls that wait for their turn. */
  readonly queueMax: number;
}

/** The default times and bounds. */
export const DEFAULT_CLIENT_SETTINGS: ClientSettings = {
  attemptMs: 1000,
  backoffMs: 50,
  pollMs: 10_000,
  renewMs: 20_000,
  outstandingMax: 64,
  queueMax: 1024,
};

/** A member that wants proof again and again is left alone. */
const PROOFS_MAX = 3;
const ATTEMPT_FACTOR_MAX = 8;
const BACKOFF_FACTOR_MAX = 40;
const NOTHING: EncodedValue = { encoding: Encoding.bytes, bytes: new Uint8Array(0) };

interface Call {
  readonly number: number;
  readonly kind: RequestKind;
  readonly name: string;
  readonly payload: EncodedValue;
  readonly deadlineAt: number;
  /** Set when it is first sent, and never changed: another session would not know that it was applied. */
  session: number;
  sequence: number;
  /** Whether it was ever put out, and whether it was before the present attempt. */
  sent: boolean;
  sentBefore: boolean;
  /** Who was asked, while an answer is awaited. */
  asked: Address | undefined;
  /** Who failed it last. */
  failed: Address | undefined;
  /** How long the member that was asked may take, in milliseconds. */
  waitMs: number;
  /** When an answer is awaited no longer, or when it is to be repeated. */
  dueAt: number;
  failures: number;
  proofs: number;
}

/** What became of a call. */
export interface Settled {
  /** The call. */
  readonly number: number;
  /** The answer; `undefined` when the deadline passed before there was one. */
  readonly outcome: Outcome | undefined;
  /** Whether it was ever put out, so that it may have had, or still have, an effect. */
  readonly sent: boolean;
  /** How often it was tried in vain. */
  readonly failures: number;
}

/** A request to be sent. */
export interface Asked {
  /** The member. */
  readonly to: Address;
  /** What to send. */
  readonly request: Request;
}

/** One client. */
export class ClientMachine {
  /** Requests to be sent; whoever carries them takes them away. */
  requests: Asked[] = [];
  /** Calls that have come to an end; whoever tells of them takes them away. */
  settled: Settled[] = [];
  /** Addresses to reach for (`true`) or to let go. */
  reaches: { readonly address: Address; readonly wanted: boolean }[] = [];
  /** The members that are known. */
  readonly members: MemberChoice;
  /** Highest position that a member has told of; 0 for none yet. */
  position = 0;
  /** Replies that made no sense. */
  implausible = 0;

  readonly #client: number;
  readonly #address: Address;
  readonly #group: string;
  readonly #settings: ClientSettings;
  readonly #random: Random;
  /** Calls on their way, in the order of their numbers. */
  readonly #calls = new Map<number, Call>();
  /** Calls that wait for their turn. */
  readonly #queue = new Map<number, Call>();
  #lastCall = 0;
  #lastSequence = 0;
  /** The present session; 0 while there is none. */
  #session = 0;
  /** The call that opens it. */
  #opening = 0;
  #usedAt = -Infinity;

  /** @param identity The client: a random number. */
  constructor(
    identity: { readonly client: number; readonly address: Address; readonly group: string },
    members: readonly Address[],
    random: Random,
    settings: ClientSettings,
  ) {
    this.#client = identity.client;
    this.#address = identity.address;
    this.#group = identity.group;
    this.#random = random;
    this.#settings = settings;
    this.members = new MemberChoice(members, random);
    for (const address of members) this.reaches.push({ address, wanted: true });
  }

  /** Calls that have not come to an end, but for those of its own. */
  get pending(): number {
    return this.#calls.size + this.#queue.size - (this.#opening > 0 ? 1 : 0);
  }

  /**
   * Makes a call.
   *
   * @param deadlineAt When to give up.
   * @returns Its number; 0 when too many wait already.
   */
  call(kind: RequestKind, name: string, payload: EncodedValue, deadlineAt: number, now: number): number {
    if (this.#queue.size >= this.#settings.queueMax) return 0;
    const call = this.#make(kind, name, payload, deadlineAt);
    this.#queue.set(call.number, call);
    this.#start(now);
    return call.number;
  }

  /** Gives a call up: nothing more is told of it. @returns Whether it may have had, or still have, an effect. */
  cancel(number: number, now: number): boolean {
    const call = this.#calls.get(number) ?? this.#queue.get(number);
    this.#calls.delete(number);
    this.#queue.delete(number);
    this.#start(now);
    return call?.sent === true;
  }

  /** A reply has arrived. Never throws for what a peer sent. */
  receive(reply: Reply, now: number): void {
    const { from, leader, view, code } = reply;
    if (reply.client !== this.#client || !this.members.has(from) || code > OutcomeCode.prove) {
      this.implausible++;
      return;
    }
    this.#learn(view, reply.members);
    this.position = Math.max(this.position, reply.position);
    const call = this.#calls.get(reply.call);
    if (code === OutcomeCode.prove) {
      this.members.proves(from, reply.token);
      if (call?.asked === from) this.#prove(call, now);
      return;
    }
    if (code === OutcomeCode.away) {
      this.members.failed(from, now);
      this.members.hinted(leader, now);
      if (call?.asked === from) this.#retry(call, now);
      return;
    }
    this.members.answered(from, leader, now);
    if (call === undefined) return; // an answer that has come before, or that nobody waits for any more
    if (code === OutcomeCode.busy) {
      if (call.asked === from) this.#retry(call, now);
      return;
    }
    this.#finish(call, reply as Outcome, now);
  }

  /** A request could not be sent: there is no path to the member, or no room. */
  undelivered(number: number, to: Address, now: number): void {
    const call = this.#calls.get(number);
    if (call?.asked !== to) return;
    call.sent = call.sentBefore;
    this.members.failed(to, now);
    this.#retry(call, now);
  }

  /** There is a path to a member, or none any more. */
  reachable(address: Address, up: boolean, now: number): void {
    if (!this.members.has(address)) return;
    this.members.reachable(address, up, now);
    for (const call of this.#calls.values()) {
      if (!up) {
        if (call.asked === address) this.#retry(call, now); // the answer has no way back
      } else if (call.asked === address) this.#repeat(call, now);
      else if (call.asked === undefined || !this.members.reaches(call.asked)) this.#ask(call, now);
    }
  }

  /** What was sent before there was a path back may have been answered in vain. */
  #repeat(call: Call, now: number): void {
    call.sentBefore = true;
    const leftMs = Math.max(0, Math.round(call.dueAt - now));
    this.#send(call, call.asked as Address, Math.min(call.waitMs, leftMs));
  }

  /** Does what has become due. */
  tick(now: number): void {
    for (const calls of [this.#calls, this.#queue]) {
      for (const call of [...calls.values()]) if (call.deadlineAt <= now) this.#settle(call, undefined);
    }
    // Nobody needs a session any more that was being opened for those that gave up.
    if (this.#opening > 0 && !this.#awaitsSession()) {
      this.#calls.delete(this.#opening);
      this.#opening = 0;
    }
    for (const call of this.#calls.values()) {
      if (call.dueAt > now) continue;
      if (call.asked === undefined) this.#ask(call, now);
      else {
        this.members.failed(call.asked, now);
        this.#retry(call, now);
      }
    }
    this.#start(now);
  }

  /** When something is due next. */
  nextDeadline(): number {
    let next = Infinity;
    for (const call of this.#calls.values()) next = Math.min(next, call.dueAt, call.deadlineAt);
    for (const call of this.#queue.values()) next = Math.min(next, call.deadlineAt);
    return next;
  }

  /** Starts calls that wait, as far as there is room; commands only once there is a session. */
  #start(now: number): void {
    for (const call of this.#queue.values()) {
      if (this.#calls.size >= this.#settings.outstandingMax + (this.#opening > 0 ? 1 : 0)) break;
      if (call.kind === RequestKind.execute && !this.#hasSession(now)) continue;
      this.#queue.delete(call.number);
      this.#calls.set(call.number, call);
      if (call.kind === RequestKind.execute) {
        call.session = this.#session;
        call.sequence = ++this.#lastSequence;
      }
      this.#ask(call, now);
    }
  }

  /** Whether commands can be sent; if not, the session is being opened. */
  #hasSession(now: number): boolean {
    const stale = now - this.#usedAt > this.#settings.renewMs;
    if (this.#session > 0 && (!stale || this.#executes())) return true;
    this.#session = 0;
    if (this.#opening > 0) return false;
    const call = this.#make(RequestKind.open, "", NOTHING, Infinity);
    this.#opening = call.number;
    this.#calls.set(call.number, call);
    this.#ask(call, now);
    return false;
  }

  /** Whether a command is on its way. */
  #executes(): boolean {
    for (const { kind } of this.#calls.values()) if (kind === RequestKind.execute) return true;
    return false;
  }

  #awaitsSession(): boolean {
    for (const { kind } of this.#queue.values()) if (kind === RequestKind.execute) return true;
    return false;
  }

  #make(kind: RequestKind, name: string, payload: EncodedValue, deadlineAt: number): Call {
    return {
      number: ++this.#lastCall,
      kind,
      name,
      payload,
      deadlineAt,
      session: 0,
      sequence: 0,
      sent: false,
      sentBefore: false,
      asked: undefined,
      failed: undefined,
      waitMs: 0,
      dueAt: Infinity,
      failures: 0,
      proofs: 0,
    };
  }

  #ask(call: Call, now: number): void {
    const to = this.members.pick(now, call.failed);
    const { attemptMs, pollMs } = this.#settings;
    const patienceMs = attemptMs * Math.min(2 ** call.failures, ATTEMPT_FACTOR_MAX);
    const newsMs = call.kind === RequestKind.poll ? pollMs : 0;
    call.asked = to;
    call.sentBefore = call.sent;
    call.sent = true;
    call.dueAt = now + newsMs + patienceMs * this.#random.between(1, 1.25);
    call.waitMs = Math.round(newsMs > 0 ? newsMs : patienceMs);
    this.#send(call, to, call.waitMs);
  }

  #send(call: Call, to: Address, waitMs: number): void {
    const { number, kind, name, payload, session, sequence } = call;
    const request: Request = {
      kind,
      client: this.#client,
      call: number,
      from: this.#address,
      group: this.#group,
      token: this.members.token(to),
      view: this.members.view,
      waitMs,
      session,
      sequence,
      lowest: sequence === 0 ? 0 : this.#lowest(),
      name,
      encoding: payload.encoding,
      bytes: payload.bytes,
    };
    this.requests.push({ to, request });
  }

  /** Lowest number of a command whose result is awaited: numbers are given in the order of calls. */
  #lowest(): number {
    for (const { sequence } of this.#calls.values()) if (sequence > 0) return sequence;
    return this.#lastSequence;
  }

  /** The member wants to see that its answers arrive: now they do. */
  #prove(call: Call, now: number): void {
    if (++call.proofs > PROOFS_MAX) return;
    const to = call.asked as Address;
    call.sentBefore = true; // the copy that was answered; it, or one that the network made of it, may yet take effect
    this.#send(call, to, Math.max(0, Math.round(call.dueAt - now)));
  }

  #retry(call: Call, now: number): void {
    const factor = Math.min(2 ** call.failures, BACKOFF_FACTOR_MAX);
    call.failures++;
    call.proofs = 0;
    call.failed = call.asked;
    call.asked = undefined;
    call.dueAt = now + this.#settings.backoffMs * factor * this.#random.between(0.5, 1);
  }

  #finish(call: Call, outcome: Outcome, now: number): void {
    if (call.kind === RequestKind.open) return this.#opened(call, outcome, now);
    if (call.kind === RequestKind.execute) {
      this.#usedAt = now;
      if (outcome.code === OutcomeCode.expired && call.session === this.#session) this.#session = 0;
    }
    this.#settle(call, outcome);
    this.#start(now);
  }

  #opened(call: Call, outcome: Outcome, now: number): void {
    const reader = new LayoutReader(outcome.bytes);
    const session = reader.u64();
    if (outcome.code !== OutcomeCode.done || !reader.done || session === 0) {
      this.implausible++;
      return this.#retry(call, now);
    }
    this.#calls.delete(call.number);
    this.#opening = 0;
    this.#session = session;
    this.#usedAt = now;
    this.#start(now);
  }

  #settle(call: Call, outcome: Outcome | undefined): void {
    this.#calls.delete(call.number);
    this.#queue.delete(call.number);
    const { number, sent, failures } = call;
    this.settled.push({ number, outcome, sent, failures });
  }

  #learn(view: number, members: readonly Address[]): void {
    const { reach, leave } = this.members.entered(view, members);
    for (const address of reach) this.reaches.push({ address, wanted: true });
    for (const address of leave) this.reaches.push({ address, wanted: false });
  }
}
