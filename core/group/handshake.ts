/**
 * The handshake: members learn each other's name and present life, check that they are configured alike, and say from
 * which message on the other needs to listen.
 *
 * HELLO goes to one address again and again until that member has answered with the present incarnation of the sender.
 * It carries everything needed, so it may be lost, repeated and reordered: three messages in a quiet network.
 * A HELLO of an unknown, higher incarnation starts a new life of that member; a lower one is refused (H29).
 */
import type { Incarnation, MemberName } from "../base/ids.ts";
import { encodeHello, encodeRefusal, type Hello, parseHello, parseRefusal } from "../wire/control.ts";
import { Kind } from "../wire/message.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import type { Peer } from "./roster.ts";
import type { GroupState } from "./state.ts";

const EARLIER_LIFE = "it is an earlier life";

/** Greets members and judges their greetings. */
export class Handshake {
  readonly #state: GroupState;

  constructor(state: GroupState) {
    this.#state = state;
  }

  /** Greets a member. */
  hello(peer: Peer, now: number): void {
    const { config, clock, unicast, roster } = this.#state;
    const body = encodeHello({
      group: config.group,
      name: config.name,
      address: config.address,
      members: config.members,
      names: roster.peers.map((known) => known.name ?? ""),
      order: config.order,
      windowMessages: config.limits.windowMessages,
      windowBytes: config.limits.windowBytes,
      messageBytesMax: config.limits.messageBytesMax,
      request: !peer.welcomed || peer.askNames,
      knows: peer.incarnation,
      first: peer.firstTold,
    });
    const offset = unicast.begin(Kind.hello, 0, 0, body.length, config.incarnation, clock.time);
    unicast.bytes.set(body, offset);
    this.#state.sendUnicast(peer.rank);
    peer.helloAt = now + config.timing.helloMs;
  }

  /** Greets whoever is due. */
  tick(now: number): void {
    for (const peer of this.#state.roster.others()) {
      if ((!peer.welcomed || peer.askNames) && now >= peer.helloAt) this.hello(peer, now);
    }
  }

  /** When somebody is to be greeted next. */
  nextDeadline(): number {
    let next = Infinity;
    for (const peer of this.#state.roster.others()) {
      if ((!peer.welcomed || peer.askNames) && peer.helloAt < next) next = peer.helloAt;
    }
    return next;
  }

  /**
   * A HELLO arrived.
   *
   * @returns The peer that it is from, if it is accepted.
   */
  receive(reader: PacketReader, now: number): Peer | undefined {
    const state = this.#state;
    const hello = parseHello(reader);
    if (hello === undefined || reader.a !== reader.incarnation) {
      state.counters.malformed++;
      return undefined;
    }
    const peer = state.roster.at(hello.address);
    if (peer === undefined || peer === state.roster.self) {
      state.counters.refused++;
      const own = state.config.members.join(", ");
      state.warn(
        "stranger",
        `${hello.name} at ${hello.address} greets, but is not in this member's list (${own})`,
      );
      return undefined;
    }
    const reason = this.#fault(peer, hello, reader);
    if (reason !== "") {
      this.#refuse(peer, hello, reader.a, reason);
      return undefined;
    }
    if (reader.a > peer.incarnation) this.begin(peer, hello, reader.a, now);
    this.#learnNames(peer, hello);
    if (hello.knows === state.config.incarnation) this.#welcome(peer, hello.first);
    if (hello.request || hello.knows !== state.config.incarnation) this.hello(peer, now);
    return peer;
  }

  /** A REFUSE arrived: somebody will not have this member as it is configured. */
  refused(reader: PacketReader): void {
    const state = this.#state;
    const refusal = parseRefusal(reader);
    const peer = state.roster.peers[reader.rank];
    if (refusal === undefined || peer === undefined || peer === state.roster.self) {
      state.counters.malformed++;
      return;
    }
    if (refusal.incarnation !== state.config.incarnation) return; // meant for a former life
    if (reader.a > state.config.incarnation) {
      state.fatal =
        `${peer.label} knows a later life of ${state.config.name}: another process has its name, ` +
        "or the clock of this machine was set back";
    }
    state.warn("refused", `${peer.label} refuses this member: ${refusal.reason}`);
  }

  /** Starts a new life of a member. */
  begin(peer: Peer, hello: Hello, incarnation: number, now: number): void {
    const { own, config, roster } = this.#state;
    peer.restarted = peer.incarnation !== 0;
    this.retire(peer, now);
    peer.name = hello.name as MemberName;
    peer.incarnation = incarnation as Incarnation;
    peer.welcomed = false;
    peer.left = false;
    peer.up = false;
    peer.windowMessages = hello.windowMessages;
    peer.firstTold = own.restart(peer.rank);
    peer.holdings = [];
    peer.holdingsAt = -1;
    peer.windowBytes = hello.windowBytes;
    const others = [...roster.others()];
    own.windowMessages = Math.min(
      config.limits.windowMessages,
      ...others.map((other) => other.windowMessages),
    );
    own.windowBytes = Math.min(config.limits.windowBytes, ...others.map((other) => other.windowBytes));
  }

  /** The stream of a member's present life becomes that of a former one. */
  retire(peer: Peer, now: number): void {
    const { config, roster } = this.#state;
    for (const stream of peer.former) stream.frozen = true;
    if (peer.stream !== undefined) {
      peer.stream.frozen = true;
      peer.former.push(peer.stream);
      peer.former.sort((a, b) => a.incarnation - b.incarnation);
      peer.stream = undefined;
    }
    this.#state.trim(peer);
    peer.holdUntil = peer.former.length > 0 ? now + config.timing.settleMs : 0;
    roster.refresh();
  }

  /** Names of members that have not greeted this one themselves, perhaps because they are gone. */
  #learnNames(peer: Peer, hello: Hello): void {
    peer.askNames = false;
    for (const other of this.#state.roster.peers) {
      const name = hello.names[other.rank];
      if (other.name === undefined && name !== "") other.name = name as MemberName;
    }
  }

  #welcome(peer: Peer, first: number): void {
    peer.welcomed = true;
    if (peer.stream !== undefined) return;
    const known = peer.former.findIndex((stream) => stream.incarnation === peer.incarnation);
    if (known >= 0) { // its messages came through another holder before it could be heard itself
      [peer.stream] = peer.former.splice(known, 1);
      peer.stream.frozen = false;
      peer.stream.startFrom(first);
    } else {
      peer.stream = this.#state.stream(peer.rank, peer.incarnation, first);
    }
    this.#state.roster.refresh();
  }

  /** What is wrong with a greeting; `""` for nothing. */
  #fault(peer: Peer, hello: Hello, reader: PacketReader): string {
    const { config, roster } = this.#state;
    if (hello.group !== config.group) return `its group is ${hello.group}, not ${config.group}`;
    if (reader.groupKey !== this.#state.identity.groupKey) return "its packets are those of another group";
    if (
      hello.members.length !== config.members.length ||
      hello.members.some((at, rank) => at !== config.members[rank])
    ) {
      return `its list of members is ${hello.members.join(", ")}, not ${config.members.join(", ")}`;
    }
    if (reader.rank !== peer.rank) return `its rank is ${reader.rank}, not ${peer.rank}`;
    if (hello.order !== config.order) return `its order is ${hello.order}, not ${config.order}`;
    if (hello.messageBytesMax > config.limits.messageBytesMax) {
      return `it sends messages of up to ${hello.messageBytesMax} bytes, more than ${config.limits.messageBytesMax}`;
    }
    for (const other of roster.peers) {
      if (other !== peer && other.incarnation !== 0 && other.name === hello.name) {
        return `its name, ${hello.name}, is in use at ${other.address}`;
      }
    }
    if (reader.a < peer.incarnation) return `${EARLIER_LIFE} (${reader.a}) than the one known here`;
    return "";
  }

  #refuse(peer: Peer, hello: Hello, incarnation: number, reason: string): void {
    const { counters, unicast } = this.#state;
    counters.refused++;
    // A greeting of a life that is over may just have been late: nothing is wrong with how its member is configured.
    if (!reason.startsWith(EARLIER_LIFE)) {
      this.#state.warn("refused-peer", `${hello.name} at ${hello.address} is refused: ${reason}`);
    }
    const body = encodeRefusal({ reason, incarnation });
    const known = incarnation < peer.incarnation ? peer.incarnation : 0;
    const offset = unicast.begin(Kind.refuse, 0, 0, body.length, known, 0);
    unicast.bytes.set(body, offset);
    this.#state.sendUnicast(peer.rank);
  }
}
