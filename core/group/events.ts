/** What a group tells the application. */
import type { Address, Incarnation, MemberName } from "../base/ids.ts";
import type { View } from "../membership/view.ts";

/** Names one message for good: no two messages of a group ever have the same, not even after a restart (W16). */
export function messageId(sender: string, incarnation: number, sequence: number): string {
  return `${sender}@${incarnation}_${sequence}`;
}

/**
 * A message, delivered.
 *
 * A `Uint8Array` value is a view into the packet that brought it: copy what is kept for long, or the whole packet (up
 * to `bundleBytes`) stays in memory with it. It is the application's own: changing it harms nobody.
 */
export class Message {
  /** Tells messages from other events. */
  readonly type: "message" = "message";
  /** Who sent it. */
  readonly sender: MemberName;
  /** Which life of the sender. */
  readonly incarnation: Incarnation;
  /** Number of the message in the sender's life: 1, 2, 3 and so on. */
  readonly sequence: number;
  /** Lamport time at which it was sent. */
  readonly lamport: number;
  /** Lamport time of this member once the message was delivered here. */
  clock: number;
  /** What was sent. */
  readonly value: unknown;
  /** Whether this member sent it. */
  readonly own: boolean;

  /** Made by the group only. */
  constructor(
    sender: MemberName,
    incarnation: Incarnation,
    sequence: number,
    lamport: number,
    value: unknown,
    own: boolean,
  ) {
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
    return messageId(this.sender, this.incarnation, this.sequence);
  }
}

/** A view was installed: the configured list, once every member of it has been heard. */
export interface ViewEvent {
  /** Tells it from other events. */
  readonly type: "view";
  /** The view. */
  readonly view: View;
}

/** A member is heard and has answered (`up`), was not heard for `downMs` (`down`), or said that it leaves (`left`). */
export interface PeerEvent {
  /** Tells it from other events. */
  readonly type: "up" | "down" | "left";
  /** The member. */
  readonly member: MemberName;
  /** Where it is reached. */
  readonly address: Address;
  /** Which life of it. */
  readonly incarnation: Incarnation;
  /** For `up`: whether it is a new life of a member that was heard before. */
  readonly restarted: boolean;
  /** Own messages that it has not confirmed. */
  readonly unconfirmed: number;
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

/** The send window is full because of members that do not confirm; `send` waits. */
export interface BlockedEvent {
  /** Tells it from other events. */
  readonly type: "blocked";
  /** Names (or addresses, if never heard) of the members waited for. */
  readonly members: readonly string[];
  /** Own messages awaiting confirmation. */
  readonly pending: number;
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
    | "abandoned"
    | "transport";
  /** For people. */
  readonly text: string;
  /** How often this has happened so far; told at 1, 10, 100 and so on. */
  readonly count: number;
}

/** Every event but messages. */
export type ControlEvent = ViewEvent | PeerEvent | RetryEvent | BlockedEvent | WarningEvent;

/** Everything that iterating a group yields. */
export type GroupEvent = Message | ControlEvent;
