/**
 * Strangers: those who greet and are not members. They are judged here: who must be refused, who has caught up and may be
 * in the next view, and whether those that are there may found a group.
 *
 * A greeting counts for a while only; who goes on being there greets again.
 */
import { orderLabel } from "./config.ts";
import type { Address, Incarnation } from "../base/ids.ts";
import type { Member, View } from "../membership/view.ts";
import type { Hello } from "./greeting.ts";
import { roomFor } from "./packet_room.ts";
import type { GroupState } from "./state.ts";

/**
 * How long after its first own greeting one that was in a group before takes others for being in none, in milliseconds: what it hears
 * sooner may have waited for it while its process was stopped, and members have answered by then.
 */
const BACKLOG_MS = 500;
/** How long a greeting counts, in heartbeats. */
const FRESH_BEATS = 10;
/** Longest time between two greetings, in milliseconds. */
export const HELLO_MS_MAX = 1000;
/** Most strangers that connections are kept to. */
export const STRANGERS_MAX = 1024;

/** Somebody who is not a member. */
export class Stranger {
  readonly member: Member;
  hello: Hello;
  /** When this life was heard first, and last. */
  readonly firstHeardAt: number;
  heardAt: number;
  /** When it was last told of the view; `undefined` for not yet. */
  answeredAt: number | undefined = undefined;
  /** When it was first ready in the present view; `undefined` while it is not. */
  readyAt: number | undefined = undefined;

  /** It did not confirm a cut: it is not asked again before. */
  putOffUntil: number = -Infinity;
  /** How often it has not confirmed one. */
  failures = 0;

  constructor(member: Member, hello: Hello, now: number) {
    this.member = member;
    this.hello = hello;
    this.firstHeardAt = now;
    this.heardAt = now;
  }
}

/** Judges those who greet. */
export class Strangers {
  readonly #state: GroupState;
  /** Who may found the group, in order; nobody when this process only joins. */
  readonly #founders: readonly Address[];
  readonly #byAddress = new Map<Address, Stranger>();

  constructor(state: GroupState, founders: readonly Address[]) {
    this.#state = state;
    this.#founders = founders;
  }

  /** Who greeted from an address. */
  get(address: Address): Stranger | undefined {
    return this.#byAddress.get(address);
  }

  /** Whether somebody greeted from an address. */
  has(address: Address): boolean {
    return this.#byAddress.has(address);
  }

  /** Forgets everybody. */
  clear(): void {
    this.#byAddress.clear();
  }

  /** Forgets those whose greeting counts no more. @returns Their addresses. */
  forget(now: number): Address[] {
    const gone: Address[] = [];
    for (const [address, stranger] of this.#byAddress) {
      if (this.#isFresh(stranger, now)) continue;
      this.#byAddress.delete(address);
      gone.push(address);
    }
    return gone;
  }

  /** A view was installed: who is in it is no stranger, and nobody has caught up with it yet. */
  installed(view: View): void {
    for (const { address, incarnation } of view.members) {
      if ((this.#byAddress.get(address)?.member.incarnation ?? Infinity) <= incarnation) {
        this.#byAddress.delete(address);
      }
    }
    for (const stranger of this.#byAddress.values()) stranger.readyAt = undefined;
  }

  /** Where an unlabelled question of a joiner is answered to. */
  addressOf(incarnation: number): Address | undefined {
    for (const { member } of this.#byAddress.values()) {
      if (member.incarnation === incarnation) return member.address;
    }
    return undefined;
  }

  /** Those who have caught up with the present view. */
  candidates(now: number): Member[] {
    const ready: Member[] = [];
    for (const stranger of this.#byAddress.values()) {
      if (stranger.readyAt !== undefined && now >= stranger.putOffUntil && this.#isFresh(stranger, now)) {
        ready.push(stranger.member);
      }
    }
    if (ready.length === 0) return ready;
    return roomFor(this.#state.roster?.peers ?? [], ready, this.#state.config.packetBytesMax);
  }

  /** One did not confirm a cut: every time it waits twice as long, so that it cannot hold up the group again and again. */
  putOff(address: Address, now: number): void {
    const stranger = this.#byAddress.get(address);
    if (stranger === undefined) return;
    stranger.putOffUntil = now + Math.min(60_000, 1000 * 2 ** stranger.failures++);
  }

  /** Whether it is worth waiting for more to be ready. */
  gathering(now: number): boolean {
    let first = Infinity;
    let late = false;
    for (const stranger of this.#byAddress.values()) {
      if (!this.#isFresh(stranger, now) || now < stranger.putOffUntil) continue;
      if (stranger.readyAt === undefined) late = true;
      else first = Math.min(first, stranger.readyAt);
    }
    return late && now < first + this.#state.config.timing.gatherMs;
  }

  /** Notes who greets. @returns Whether it is a stranger that there is room for. */
  note(hello: Hello, now: number): boolean {
    const { roster, phase } = this.#state;
    const { address, name, windowMessages, windowBytes } = hello;
    if (roster?.find(address, hello.incarnation) !== undefined && phase === "member") return false;
    const before = this.#byAddress.get(address);
    if (before === undefined && this.#byAddress.size >= STRANGERS_MAX) return false;
    const incarnation = hello.incarnation as Incarnation;
    const stranger = before?.member.incarnation === incarnation
      ? before
      : new Stranger({ address, name, incarnation, windowMessages, windowBytes }, hello, now);
    this.#byAddress.set(address, stranger);
    stranger.hello = hello;
    stranger.heardAt = now;
    if (phase !== "member" || hello.ready === 0 || hello.ready !== roster?.number) {
      stranger.readyAt = undefined;
    } else stranger.readyAt ??= now;
    return true;
  }

  /** What is wrong with a greeting; `""` for nothing. */
  fault(hello: Hello): string {
    const { config, roster } = this.#state;
    if (hello.group !== config.group) return `its group is ${hello.group}, not ${config.group}`;
    const order = orderLabel(config);
    if (hello.order !== order) return `its order is ${hello.order}, not ${order}`;
    if (hello.election !== config.election) {
      return `its election is ${hello.election}, not ${config.election}`;
    }
    const { replicas = "" } = config;
    if (hello.replicas !== replicas) {
      return `its replicas are ${hello.replicas || "none"}, not ${replicas || "none"}`;
    }
    if (hello.suspectMinMs !== Math.round(config.timing.suspectMinMs)) {
      return `its timing.suspectMinMs is ${hello.suspectMinMs}, not ${config.timing.suspectMinMs}`;
    }
    if (hello.messageBytesMax > config.limits.messageBytesMax) {
      return `it sends messages of up to ${hello.messageBytesMax} bytes, more than ${config.limits.messageBytesMax}`;
    }
    if (hello.name === config.name) return `its name, ${hello.name}, is in use at ${config.address}`;
    for (const peer of roster?.peers ?? []) {
      if (peer.name === hello.name && peer.address !== hello.address && !peer.suspected) {
        return `its name, ${hello.name}, is in use at ${peer.address}`;
      }
    }
    if (roster !== undefined && roomFor(roster.peers, [hello], config.packetBytesMax).length === 0) {
      return `packets of ${config.packetBytesMax} bytes have no room for it beside ${roster.size} members`;
    }
    const known = roster?.at(hello.address)?.incarnation ??
      this.#byAddress.get(hello.address)?.member.incarnation ?? 0;
    if (hello.incarnation < known) {
      return `it is an earlier life (${hello.incarnation}) than the one known here`;
    }
    return "";
  }

  /**
   * Whether this process, which knows of no group, founds one: as many as expected are there, and in none either.
   *
   * @param contacts Members of the last view of a life that is over.
   * @param askedAt When this process began to greet.
   */
  mayFound(contacts: readonly Address[], askedAt: number, now: number): boolean {
    const { config } = this.#state;
    if (config.expect === 0 || this.#founders[0] !== config.address) {
      return false;
    }
    // After an eviction the group lives on, unless everybody who was in it is here and in no group either.
    for (const address of contacts) {
      const stranger = this.#byAddress.get(address);
      if (address !== config.address && (stranger === undefined || !this.#isFresh(stranger, now))) {
        return false;
      }
    }
    // Who was in no group before another one's present life began may be in one that the life before that was in.
    const since = Math.max(
      contacts.length === 0 ? -Infinity : askedAt + BACKLOG_MS,
      ...this.#founders.map((address) => this.#byAddress.get(address)?.firstHeardAt ?? -Infinity),
    );
    if (contacts.length > 0 && contacts.every((address) => address === config.address)) {
      return false;
    }
    let there = 1;
    for (const address of this.#founders) {
      const stranger = this.#byAddress.get(address);
      if (stranger === undefined || !this.#isFresh(stranger, now) || stranger.heardAt < since) continue;
      const { founders } = stranger.hello;
      if (
        founders.length === this.#founders.length &&
        founders.every((other, index) => other === this.#founders[index])
      ) {
        there++;
      } else {
        this.#state.warn(
          "stranger",
          `${stranger.hello.name} at ${address} expects ${founders.join(", ") || "a group to join"}, not ${
            this.#founders.join(", ")
          }`,
        );
      }
    }
    return there >= config.expect;
  }

  #isFresh(stranger: Stranger, now: number): boolean {
    return now - stranger.heardAt <=
      Math.max(3 * HELLO_MS_MAX, FRESH_BEATS * this.#state.config.timing.heartbeatMs);
  }
}
