/**
 * The front of a member: what it does with the requests of clients.
 *
 * Everything is bounded: requests that are being served, for each client and in total; the size of a reply. A client first has
 * to show a token that was sent to its address, so nobody can have a member flood somebody else, and what is sent before that is
 * never larger than what came (H57). The token proves a path, not who somebody is.
 */
import { copyBytes } from "../base/bytes.ts";
import { type Cancel, Deadlines } from "../base/deadlines.ts";
import type { Address } from "../base/ids.ts";
import { Command, CommandKind } from "../wire/command.ts";
import {
  encodeReply,
  type ExchangeBody,
  type Reply,
  REPLY_MEMBERS_MAX,
  type Request,
  RequestKind,
} from "../wire/exchange.ts";
import { Encoding } from "../wire/message.ts";
import { type Outcome, OutcomeCode, refusal } from "./outcome.ts";
import type { Answered, ReplicaSet } from "./replica_set.ts";

/** Bounds of what a member does for clients. */
export interface FrontLimits {
  /** Most requests of one client that are served at a time. */
  readonly clientRequestsMax: number;
  /** Most requests that are served at a time. */
  readonly requestsMax: number;
  /** Longest time that a request is served, in milliseconds. */
  readonly waitMsMax: number;
  /** Largest result or answer, in bytes. */
  readonly replyBytesMax: number;
  /** Largest operation, in bytes. */
  readonly operationBytesMax: number;
}

/** The default bounds, but for those that depend on the largest message. */
export const DEFAULT_FRONT_LIMITS: Omit<FrontLimits, "replyBytesMax" | "operationBytesMax"> = {
  clientRequestsMax: 128,
  requestsMax: 4096,
  waitMsMax: 30_000,
};

/** Largest question, in bytes: it is kept while its answer is waited for. */
export const QUESTION_BYTES_MAX: number = 16 * 1024;
/** Bytes of a reply beside its result, at the most: leader, members, and the rest of its map. */
export const REPLY_OVERHEAD_BYTES: number = (REPLY_MEMBERS_MAX + 2) * 264 + 512;

/** What a member is at the moment. */
export interface Standing {
  /** Whether it is a member that may serve. */
  readonly serves: boolean;
  /** Who leads, if it is in a view. */
  readonly leader: Address | undefined;
  /** Number of its view; 0 for none. */
  readonly view: number;
  /** Addresses of the members of its view. */
  readonly members: readonly Address[];
}

/** What a front needs of its member. */
export interface FrontHost {
  /** Own address. */
  readonly address: Address;
  /** Own group. */
  readonly group: string;
  /** Decides the tokens: two random numbers of 32 bits. */
  readonly secrets: readonly [number, number];
  /** What the member is now. */
  standing(): Standing;
  /** Puts a command on its way through the order. @returns `false` when there is no room for it now. */
  submit(command: Command): boolean;
  /** Calls back once everything that was answered to anybody before is applied here; with `false` if that cannot be known. */
  barrier(done: (sure: boolean) => void): void;
  /** Sends a reply. */
  reply(to: Address, reply: Reply, body: ExchangeBody): void;
}

/** A request that is being served: what is needed to answer it, and no more. */
interface Serving {
  readonly request: Request;
  /** For those that wait for news: how often the object had changed when there were none. */
  changes: number;
  /** Calls its end off. */
  cancel: Cancel;
}

/** What was done for clients, ever growing. */
export interface FrontCounters {
  /** Requests that came. */
  requests: number;
  /** Of them those that were answered for want of room, or of a quorum. */
  refused: number;
  /** Of them those that showed no token, or a wrong one. */
  unproved: number;
  /** Replies that were sent. */
  replies: number;
}

const NOTHING = new Uint8Array(0);
const utf8 = new TextEncoder();

/** Serves clients. */
export class Front {
  readonly counters: FrontCounters = { requests: 0, refused: 0, unproved: 0, replies: 0 };
  readonly #host: FrontHost;
  readonly #set: ReplicaSet;
  readonly #limits: FrontLimits;
  /** Requests that are being served, by client and number of the call. */
  readonly #serving = new Map<number, Map<number, Serving>>();
  /** Of them those that wait for news. */
  readonly #polls = new Set<Serving>();
  readonly #deadlines = new Deadlines();
  #count = 0;

  constructor(host: FrontHost, set: ReplicaSet, limits: FrontLimits) {
    this.#host = host;
    this.#set = set;
    this.#limits = limits;
  }

  /** Requests that are being served. */
  get size(): number {
    return this.#count;
  }

  /** A request has come. */
  request(request: Request, now: number): void {
    this.counters.requests++;
    const { from, client, call, kind } = request;
    const token = this.#token(from, client);
    if (request.token !== token) {
      this.counters.unproved++;
      return this.#reply(
        request,
        { code: OutcomeCode.prove, encoding: Encoding.bytes, bytes: NOTHING },
        token,
      );
    }
    const serving = this.#serving.get(client);
    if (serving?.has(call)) return; // it is being served
    if (!this.#host.standing().serves) return this.#refuse(request, OutcomeCode.away, "it cannot serve now");
    const { clientRequestsMax, requestsMax } = this.#limits;
    if ((serving?.size ?? 0) >= clientRequestsMax || this.#count >= requestsMax) {
      return this.#refuse(request, OutcomeCode.busy, "it serves too many requests");
    }
    switch (kind) {
      case RequestKind.open:
        return this.#submit(request, Command.open(client), now);
      case RequestKind.execute:
        return this.#execute(request, now);
      case RequestKind.query:
        return this.#query(request, now);
      case RequestKind.poll:
        return this.#poll(request, now);
    }
  }

  /** A command was applied here, whoever sent it. */
  applied(command: Command, outcome: Outcome): void {
    const { client, kind, sequence, session } = command;
    for (const { request } of this.#serving.get(client)?.values() ?? []) {
      const meant = kind === CommandKind.open
        ? request.kind === RequestKind.open
        : request.sequence === sequence && request.session === session;
      if (meant) this.#answer(request, outcome);
    }
  }

  /** Commands were applied: those that wait for news may have some. */
  changed(): void {
    for (const serving of this.#polls) {
      const { request } = serving;
      const changes = this.#set.changes(request.name);
      if (changes === serving.changes) continue;
      serving.changes = changes;
      const answer = this.#ask(request);
      if (answer.empty !== true) this.#answer(request, answer);
    }
  }

  /** This member cannot serve any more: whoever is being served may ask another one. */
  stop(): void {
    const all = [...this.#serving.values()].flatMap((calls) => [...calls.values()]);
    for (const { request } of all) {
      this.#answer(request, refusal(OutcomeCode.away, "it cannot serve any more"));
    }
  }

  /** Gives up what takes too long. */
  tick(now: number): void {
    this.#deadlines.expire(now);
  }

  /** When something is due next. */
  nextDeadline(): number {
    return this.#deadlines.next;
  }

  #execute(request: Request, now: number): void {
    const { client, session, sequence, lowest, name, encoding, bytes } = request;
    const known = this.#set.sessions.find(client, session, sequence);
    if (known !== undefined) return this.#reply(request, known);
    const { operationBytesMax } = this.#limits;
    if (bytes.length > operationBytesMax) {
      const text = `the command has ${bytes.length} bytes; the limit is ${operationBytesMax}`;
      return this.#reply(request, refusal(OutcomeCode.tooLarge, text));
    }
    const kind = CommandKind.execute;
    this.#submit(request, new Command(kind, client, session, sequence, lowest, name, encoding, bytes), now);
  }

  #submit(request: Request, command: Command, now: number): void {
    this.#serve({ ...request, bytes: NOTHING }, now, () => this.#forget(request));
    if (this.#host.submit(command)) return;
    this.#forget(request);
    this.#refuse(request, OutcomeCode.busy, "there is no room in its window");
  }

  #query(request: Request, now: number): void {
    const kept = this.#keep(request);
    if (kept === undefined) return;
    const serving = this.#serve(kept, now, () => this.#forget(request));
    this.#host.barrier((sure) => {
      if (this.#serving.get(request.client)?.get(request.call) !== serving) return;
      this.#answer(request, sure ? this.#ask(kept) : refusal(OutcomeCode.away, "it cannot serve now"));
    });
  }

  #poll(request: Request, now: number): void {
    const kept = this.#keep(request);
    if (kept === undefined) return;
    const answer = this.#ask(kept);
    if (answer.empty !== true || request.waitMs === 0) return this.#reply(request, answer);
    const serving = this.#serve(kept, now, () => this.#answer(request, this.#ask(kept)));
    serving.changes = this.#set.changes(request.name);
    this.#polls.add(serving);
  }

  /** A request whose question does not keep its whole packet. @returns `undefined` when it was refused. */
  #keep(request: Request): Request | undefined {
    const { bytes } = request;
    if (bytes.length <= QUESTION_BYTES_MAX) return { ...request, bytes: copyBytes(bytes) };
    const text = `the question has ${bytes.length} bytes; the limit is ${QUESTION_BYTES_MAX}`;
    this.#reply(request, refusal(OutcomeCode.tooLarge, text));
    return undefined;
  }

  #ask(request: Request): Answered {
    return this.#set.query(request.name, request, this.#limits.replyBytesMax);
  }

  /** @param late Called when it takes too long. */
  #serve(request: Request, now: number, late: () => void): Serving {
    const until = now + Math.min(request.waitMs, this.#limits.waitMsMax);
    const serving: Serving = { request, changes: 0, cancel: this.#deadlines.set(until, late) };
    let calls = this.#serving.get(request.client);
    if (calls === undefined) this.#serving.set(request.client, calls = new Map());
    calls.set(request.call, serving);
    this.#count++;
    return serving;
  }

  #forget({ client, call }: Request): void {
    const calls = this.#serving.get(client);
    const serving = calls?.get(call);
    if (calls === undefined || serving === undefined) return;
    serving.cancel();
    calls.delete(call);
    this.#polls.delete(serving);
    this.#count--;
    if (calls.size === 0) this.#serving.delete(client);
  }

  #answer(request: Request, outcome: Outcome): void {
    this.#forget(request);
    this.#reply(request, outcome);
  }

  #refuse(request: Request, code: typeof OutcomeCode.away | typeof OutcomeCode.busy, why: string): void {
    this.counters.refused++;
    this.#reply(request, refusal(code, why));
  }

  #reply(request: Request, outcome: Outcome, token: number = 0): void {
    const { client, call, from } = request;
    const { view, leader, members } = this.#host.standing();
    const proved = token === 0;
    const fits = outcome.bytes.length <= this.#limits.replyBytesMax;
    const { code, encoding, bytes } = fits
      ? outcome
      : refusal(OutcomeCode.tooLarge, `the result has ${outcome.bytes.length} bytes: too much for a reply`);
    const reply: Reply = {
      code,
      client,
      call,
      from: this.#host.address,
      token,
      position: proved ? this.#set.position : 0,
      // Who has not shown that it is where it says gets no more than it needs for that.
      leader: proved ? leader : undefined,
      view: proved ? view : 0,
      members: proved && view !== request.view ? members.slice(0, REPLY_MEMBERS_MAX) : [],
      encoding,
      bytes,
    };
    this.counters.replies++;
    this.#host.reply(from, reply, encodeReply(reply));
  }

  /** What the client at an address has to show: not to be guessed by who does not see this member's packets. */
  #token(from: Address, client: number): number {
    const text = utf8.encode(`${client} ${from}`);
    const [high, low] = this.#host.secrets.map((secret) => keyedHash(secret, text));
    return (high % 0x20_0000) * 0x1_0000_0000 + low || 1;
  }
}

/** FNV-1a, begun and ended with a secret. */
function keyedHash(secret: number, bytes: Uint8Array): number {
  let hash = (0x811c9dc5 ^ secret) >>> 0;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  for (let shift = 0; shift < 32; shift += 8) {
    hash = Math.imul(hash ^ ((secret >>> shift) & 0xff), 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}
