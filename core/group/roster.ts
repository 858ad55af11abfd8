/**
 * The members of the present view, as this member sees them: which streams of theirs are held here, what they said last.
 * A roster lives as long as its view.
 */
import type { Address, Incarnation, MemberName } from "../base/ids.ts";
import type { Detector } from "../membership/detector.ts";
import { type Departure, isSameMember, type Member, type View } from "../membership/view.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import type { Holding } from "../wire/heartbeat.ts";

/** One place in the view. */
export class Peer {
  readonly rank: number;
  readonly member: Member;
  /** Its stream; for this member itself the loop-back. */
  stream: ReceiveStream;
  /** Judges its silence; `undefined` for this member itself. */
  detector: Detector | undefined = undefined;
  /** Whether this member suspects it. */
  suspected = false;
  /** Since when. */
  suspectedAt = 0;
  /** Ranks of members that say that they suspect it. */
  readonly suspectedBy: Set<number> = new Set();
  /** Since when; `Infinity` while nobody does. */
  complainedAt: number = Infinity;
  /** Ranks of members that say that it holds them up. */
  readonly slowFor: Set<number> = new Set();
  /** Whether it was heard in this view: it has installed it. */
  seen = false;
  /** Whether it said that it wants to leave. */
  leaving = false;
  /** Whether it said that it has promised in a view change. */
  wedged = false;
  /** Whether it said that it hears no quorum. */
  blocked = false;
  /** When its process, in a later life, last said that it votes for this one; `-Infinity` for never. */
  votesAt: number = -Infinity;
  /** Its process has come back as a later life; 0 while that is not so. */
  successor = 0;
  /** The number of its last heartbeat. */
  beat = 0;
  /** The last own heartbeat that it has answered, while this member leads. */
  echo = 0;
  /** What it last said it holds. */
  holdings: readonly Holding[] = [];

  constructor(rank: number, member: Member, stream: ReceiveStream) {
    this.rank = rank;
    this.member = member;
    this.stream = stream;
  }

  /** Its name. */
  get name(): MemberName {
    return this.member.name;
  }

  /** Where it is reached. */
  get address(): Address {
    return this.member.address;
  }

  /** Its life. */
  get incarnation(): Incarnation {
    return this.member.incarnation;
  }

  /** Whether it is certain that it does not come back in this life. */
  get over(): boolean {
    return this.successor > 0;
  }

  /** What it last said it holds of a stream. */
  holdingOf(rank: number): Holding | undefined {
    return this.holdings.find((holding) => holding.rank === rank);
  }
}

/** All members of one view. */
export class Roster {
  readonly view: View;
  readonly peers: readonly Peer[];
  /** This member; `undefined` in a view that it only watches, on its way into the next. */
  readonly self: Peer | undefined;
  /** Streams by rank. */
  readonly streams: readonly ReceiveStream[];

  /** @param own The record of this member. */
  constructor(view: View, peers: readonly Peer[], own: Member) {
    this.view = view;
    this.peers = peers;
    this.self = peers.find(({ member }) => isSameMember(member, own));
    this.streams = peers.map(({ stream }) => stream);
  }

  /** Number of the view. */
  get number(): number {
    return this.view.number;
  }

  /** Own rank, -1 in a view that is only watched. */
  get rank(): number {
    return this.self?.rank ?? -1;
  }

  /** Number of members. */
  get size(): number {
    return this.peers.length;
  }

  /** The leader. */
  get leader(): Peer {
    return this.peers[this.view.leader];
  }

  /** The others, by rank. */
  *others(): Iterable<Peer> {
    for (const peer of this.peers) if (peer !== this.self) yield peer;
  }

  /** The member at an address. */
  at(address: string): Peer | undefined {
    return this.peers.find((peer) => peer.address === address);
  }

  /** A life at an address. */
  find(address: string, incarnation: number): Peer | undefined {
    return this.peers.find((peer) => peer.incarnation === incarnation && peer.address === address);
  }

  /** Names of some members, by rank. */
  labels(ranks: Iterable<number>): string[] {
    return [...ranks].map((rank) => this.peers[rank].name);
  }
}

/** A member of a view that is not in the next one. */
export interface Departed {
  /** The member. */
  readonly member: Member;
  /** Why it is not. */
  readonly reason: Departure;
}
