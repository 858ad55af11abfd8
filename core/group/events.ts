/** What a group tells the application. */
import type { Incarnation, MemberName } from "../base/ids.ts";
import type { ElectionName } from "../election/mod.ts";
import type { Departure, Member, View } from "../membership/view.ts";
import type { Departed } from "./roster.ts";

/**
 * Names one message for good: no two messages of a group ever have the same, not even after a restart (W16). A durable member that
 * comes back may give the number of a message that never reached its disk to another one; the run tells them apart.
 */
export function messageId(sender: string, incarnation: number, run: number, sequence: number): string {
  return run === 0 ? `${sender}@${incarnation}_${sequence}` : `${sender}@${incarnation}.${run}_${sequence}`;
}

/**
 * A message, delivered.
 *
 * A `Uint8Array` value is a view into the packet that brought it: copy what is kept for long, or the whole packet (up
 * to `bundleBytes`) stays in memory with it. It is the application's own: changing it harms nobody. The rest of its `buffer` holds other
 * messages of the packet, which the application has or is about to get: whoever writes there, or transfers it, spoils their values.
 */
export class Message {
  /** Tells messages from other events. */
  readonly type: "message" = "message";
  /** Who sent it. */
  readonly sender: MemberName;
  /** Which life of the sender. */
  readonly incarnation: Incarnation;
  /** Which run of that life: how often the sender's process had come back as the member that it was. Only at the level `durable`. */
  readonly run: number;
  /**
   * Number of the message in the sender's life. It grows with each; there are gaps where a message travelled in fragments, or where the
   * sender has told the others the total order.
   */
  readonly sequence: number;
  /** Lamport time at which it was sent. */
  readonly lamport: number;
  /** Lamport time of this member once the message was delivered here. */
  clock: number;
  /** What was sent. */
  readonly value: unknown;
  /** Whether this member sent it. */
  readonly own: boolean;
  /** Its place in the total order: 1, 2, 3 and so on over the whole life of the group. 0 for an order that is not total. */
  position = 0;
  /** Whether a former run of this process may have delivered it before: it comes from the disk. Only at the level `durable`. */
  replayed = false;

  /** Made by the group only. */
  constructor(
    sender: MemberName,
    incarnation: Incarnation,
    sequence: number,
    lamport: number,
    value: unknown,
    own: boolean,
    run: number = 0,
  ) {
    this.run = run;
    this.sender = sender;
    this.incarnation = incarnation;
    this.sequence = sequence;
    this.lamport = lamport;
    this.clock = 0;
    this.value = value;
    this.own = own;
  }

  /** Names the message for good, for example `P1@1790000000000000_17`. */
  get id(): string {
    return messageId(this.sender, this.incarnation, this.run, this.sequence);
  }
}

/** A view was installed: everything that comes after it was delivered in it. */
export interface ViewEvent {
  /** Tells it from other events. */
  readonly type: "view";
  /** The view. */
  readonly view: View;
  /** Members that were not in the view before; all but this one in its first view. */
  readonly joined: readonly Member[];
  /** Members of the view before that are not in this one, and why. */
  readonly departed: readonly Departed[];
}

/** Somebody leads the present view, which is the epoch. Follows its `view` event. */
export interface LeaderEvent {
  /** Tells it from other events. */
  readonly type: "leader";
  /** Number of the view. */
  readonly epoch: number;
  /** Who leads. */
  readonly leader: Member;
  /** Whether it is this member. */
  readonly own: boolean;
}

/** An election has ended here: somebody should propose the next view. Whether it does, and leads, the view decides. */
export interface ElectionEvent {
  /** Tells it from other events. */
  readonly type: "election";
  /** The view in which it was held. */
  readonly epoch: number;
  /** How. */
  readonly strategy: ElectionName;
  /** Who was elected. */
  readonly winner: MemberName;
  /** Messages that this member sent for it. */
  readonly messages: number;
}

/** A member has been silent for too long (`suspected`), or is heard again (`trusted`). Only a view evicts it. */
export interface SuspicionEvent {
  /** Tells it from other events. */
  readonly type: "suspected" | "trusted";
  /** The member. */
  readonly member: Member;
}

/** This member was evicted while it was alive. It joins again by itself, as a new life, by a state transfer. */
export interface EvictedEvent {
  /** Tells it from other events. */
  readonly type: "evicted";
  /** The life that is over. */
  readonly incarnation: Incarnation;
  /** Number of the last view of which it was a member. */
  readonly view: number;
  /** Why, if it is known. */
  readonly reason: Departure | undefined;
  /**
   * The last own message of that life that the group delivers; later ones are lost. `undefined` when that is not known: then
   * the fate of those that were not confirmed is unknown.
   */
  readonly deliveredThrough: number | undefined;
}

/** Messages were sent again to a member that asked for them. */
export interface RetryEvent {
  /** Tells it from other events. */
  readonly type: "retry";
  /** The member that asked. */
  readonly member: MemberName;
  /** Whose messages; this member's own, or those of one that cannot send them itself. */
  readonly sender: MemberName;
  /** First sequence sent again. */
  readonly first: number;
  /** Number of messages sent again. */
  readonly count: number;
}

/**
 * Sending is held up. `minority`: a quorum of the view is not heard, and whatever happens on the other side of a partition,
 * this side stops. `window`: the send window is full because of members that do not confirm.
 */
export interface BlockedEvent {
  /** Tells it from other events. */
  readonly type: "blocked";
  /** Why. */
  readonly reason: "minority" | "window";
  /** Names of the members waited for. */
  readonly members: readonly string[];
  /** Own messages awaiting confirmation. */
  readonly pending: number;
}

/** A quorum of the view is heard again. */
export interface UnblockedEvent {
  /** Tells it from other events. */
  readonly type: "unblocked";
}

/** Something that a person should look at; the group goes on. */
export interface WarningEvent {
  /** Tells it from other events. */
  readonly type: "warning";
  /** What it is about, as a short constant. */
  readonly code:
    | "refused"
    | "refused-peer"
    | "stranger"
    | "foreign-group"
    | "foreign-version"
    | "undecodable"
    | "transfer"
    | "snapshot"
    | "no-quorum"
    | "stranded"
    | "another-group"
    | "clock"
    | "transport";
  /** For people. */
  readonly text: string;
  /** How often this has happened so far; told at 1, 10, 100 and so on. */
  readonly count: number;
}

/** Every event but messages. */
export type ControlEvent =
  | ViewEvent
  | LeaderEvent
  | ElectionEvent
  | SuspicionEvent
  | EvictedEvent
  | RetryEvent
  | BlockedEvent
  | UnblockedEvent
  | WarningEvent;

/** Everything that iterating a group yields. */
export type GroupEvent = Message | ControlEvent;

/** The application's state as of this point is wanted: everything before was delivered, nothing after. */
export interface SnapshotPoint {
  /** Tells it from events. */
  readonly type: "snapshot";
  /** For whom. */
  readonly transfer: number;
}

/** The application's state is to be replaced: this member starts from it. */
export interface RestorePoint {
  /** Tells it from events. */
  readonly type: "restore";
  /** What the snapshot of another member was; `undefined` when its application keeps none. */
  readonly snapshot: Uint8Array | undefined;
  /** Whether it comes from the own disk. */
  readonly own: boolean;
  /** Position in the total order that the snapshot covers; 0 where there is none. */
  readonly position: number;
}

/** What a machine puts out in the order of delivery, but for messages. */
export type Delivered = ControlEvent | SnapshotPoint | RestorePoint;

/** Everything that a machine puts out in the order of delivery. */
export type GroupOutput = Message | Delivered;
