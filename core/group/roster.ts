/**
 * What this member knows of each member of the view: who lives at which address, which of its streams are held here,
 * and what it said it holds itself.
 */
import { type Address, compareNatural, type Incarnation, type MemberName } from "../base/ids.ts";
import type { View } from "../membership/view.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import type { Holding } from "../wire/control.ts";

/** Former lives of one member that are remembered; beyond it the oldest is given up. */
export const FORMER_LIVES_MAX = 8;

/** One place in the view. */
export class Peer {
  readonly rank: number;
  readonly address: Address;
  /** Name of the member; `undefined` until it greets. */
  name: MemberName | undefined = undefined;
  /** Its newest life known here; 0 until it greets. */
  incarnation: Incarnation = 0 as Incarnation;
  /** Whether that life knows this one and has said from where to listen. */
  welcomed = false;
  /** First sequence of the own stream that this life was told it needs. */
  firstTold = 0;
  /** How many messages of this member's it holds at the most. */
  windowMessages: number = Infinity;
  /** How many bytes of this member's messages it holds at the most. */
  windowBytes: number = Infinity;
  /** When anything was last heard of this life. */
  lastHeard: number = -Infinity;
  /** Whether it is heard. */
  up = false;
  /** Whether it said that it leaves. */
  left = false;
  /** Whether the transport has a path to it. */
  reachable = false;
  /** Whether it is to be asked for the names of members that have not greeted this one. */
  askNames = false;
  /** Whether its present life was not reported yet and follows another one. */
  restarted = false;
  /** When to greet it next. */
  helloAt = 0;
  /** The stream of its newest life. */
  stream: ReceiveStream | undefined = undefined;
  /** Streams of former lives, oldest first. */
  former: ReceiveStream[] = [];
  /** Every former life up to this one is forgotten. */
  doneThrough = 0;
  /** Messages of the newest life wait until then for the rest of a former one; 0 when they need not. */
  holdUntil = 0;
  /** Its own last sequence when it last said what it holds; -1 before the first time in this life. */
  holdingsAt = -1;
  /** What it last said it holds. */
  holdings: Holding[] = [];

  constructor(rank: number, address: Address) {
    this.rank = rank;
    this.address = address;
  }

  /** Name for people. */
  get label(): string {
    return this.name ?? this.address;
  }

  /** Whether both sides know each other's present life. */
  get connected(): boolean {
    return this.incarnation !== 0 && this.welcomed;
  }

  /** The stream of one of its lives. */
  streamOf(incarnation: number): ReceiveStream | undefined {
    if (this.stream !== undefined && this.stream.incarnation === incarnation) return this.stream;
    for (const stream of this.former) if (stream.incarnation === incarnation) return stream;
    return undefined;
  }

  /** What it last said it holds of a stream. */
  holdingOf(rank: number, incarnation: number): Holding | undefined {
    return this.holdings.find((holding) => holding.rank === rank && holding.incarnation === incarnation);
  }

  /** Whether it last said that it knows a life of `rank` as new as `incarnation`, and so takes nothing from older ones. */
  knowsLife(rank: number, incarnation: number): boolean {
    if (rank === this.rank) return this.incarnation >= incarnation;
    return this.holdings.some((holding) =>
      holding.rank === rank && holding.current && holding.incarnation >= incarnation
    );
  }
}

/** All members of the view. */
export class Roster {
  readonly peers: readonly Peer[];
  /** This member. */
  readonly self: Peer;
  /** Every stream held here, the own one included. Rebuilt when a stream comes or goes. */
  streams: readonly ReceiveStream[] = [];

  constructor(members: readonly Address[], own: Address) {
    this.peers = members.map((address, rank) => new Peer(rank, address));
    const self = this.peers.find((peer) => peer.address === own);
    if (self === undefined) throw new RangeError("the own address is not in the list");
    this.self = self;
  }

  /** The others, by rank. */
  *others(): Iterable<Peer> {
    for (const peer of this.peers) if (peer !== this.self) yield peer;
  }

  /** The member at an address. */
  at(address: string): Peer | undefined {
    return this.peers.find((peer) => peer.address === address);
  }

  /** The stream of one life of one member. */
  stream(rank: number, incarnation: number): ReceiveStream | undefined {
    return this.peers[rank]?.streamOf(incarnation);
  }

  /** To be called after any stream of any peer has changed. */
  refresh(): void {
    const streams: ReceiveStream[] = [];
    for (const peer of this.peers) {
      streams.push(...peer.former);
      if (peer.stream !== undefined) streams.push(peer.stream);
    }
    this.streams = streams;
  }

  /** The view, as far as it is known. */
  view(number: number): View {
    return {
      number,
      members: this.peers.map(({ address, name, incarnation }) => ({ address, name, incarnation })),
    };
  }

  /** Labels of some members, in order. */
  labels(ranks: Iterable<number>): string[] {
    return [...ranks].map((rank) => this.peers[rank].label).sort(compareNatural);
  }
}
