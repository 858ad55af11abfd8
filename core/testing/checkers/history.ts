/**
 * What all checkers read: a node trace, sorted out once into groups, messages, views, and of each node its lives and
 * memberships.
 *
 * A *life* is one stream of messages of a node: a crash, an eviction and a join end it. A *membership* is what is asked of a
 * node as one: it starts with the node's first line, with a `join`, or with a view 1 that a founder installs alone after a crash.
 * Any other node that is killed and comes back without a `join` has its memory, and goes on in its membership with a new life.
 * Nodes are names; nothing but these lines tells their lives apart.
 */
import type {
  DeliverLine,
  DepartureReason,
  EpochLine,
  LeaderLine,
  TraceLine,
  ViewLine,
} from "../../runtime/trace.ts";

/** Why a node is no member at present. */
export type Ending = "crash" | "leave" | "evicted";

/** One stream of messages of a node. */
export interface Life {
  readonly node: string;
  /** Its place among all lives of the group that have sent something; -1 before the first send. */
  slot: number;
  /** What it has sent, in order. */
  readonly sent: Message[];
  /** Whether it was killed. */
  killed: boolean;
}

/** What is asked of a node as one. */
export interface Membership {
  readonly node: string;
  /** It starts from a state transfer: what came before is not asked of it. */
  joined: boolean;
  /** Nothing has happened in it so far. */
  untouched: boolean;
  /** The first view installed in it, if any. */
  firstView: number | undefined;
  /** The view installed last in it, if any. */
  lastView: number | undefined;
  /** First deliveries of known messages, in order. */
  readonly delivered: Map<Message, Delivery>;
}

/** A message that somebody sent. */
export interface Message {
  readonly m: string;
  /** Its place among all messages of the group, from 0. */
  readonly number: number;
  readonly life: Life;
  readonly membership: Membership;
  /** Its number among those its life has sent, from 1. */
  readonly sequence: number;
  /** Its send was rejected: it may be missing everywhere. */
  failed: boolean;
  /** Where it was sent, as an index of the lines. */
  readonly index: number;
  /** The sender's view at that time, if it wrote one. */
  readonly view: number | undefined;
  /** The sender was no member at that time. */
  readonly out: Ending | undefined;
  /** The lowest view in which a member delivered it; `undefined` when nobody did, or only in tails and replays. */
  deliveredIn: number | undefined;
}

/** A delivery, first or repeated. */
export interface Delivery {
  readonly line: DeliverLine;
  readonly index: number;
  readonly membership: Membership;
  /** The node's life at that time: what is delivered again after a crash belongs to another one. */
  readonly life: Life;
  /** The last view that was installed in the membership by then, if any. */
  readonly lastView: number | undefined;
  /** The view in which the node delivers it; `undefined` where none was written, and when it is `past`. */
  readonly view: number | undefined;
  /** It tells of the past: in the tail of a join, or as a replay, or while the node is no member. */
  readonly past: boolean;
  /** It belongs to the tail of a join. */
  readonly tail: boolean;
  /** The node was no member at that time. */
  readonly out: Ending | undefined;
  /** Delivered before in the same membership. */
  repeated: boolean;
  /** What was delivered; `undefined` when nobody sent it in this group. */
  message: Message | undefined;
}

/** A view, as one or more nodes installed it: the same number with other members is another one. */
export interface GroupView {
  readonly number: number;
  readonly members: readonly string[];
  /** Why members of the view before are not in it, by all lines that say so; the first one counts. */
  readonly departed: Map<string, DepartureReason>;
  /** Who wrote it first, and where. */
  readonly node: string;
  readonly index: number;
}

/** A node installs a view. */
export interface Installation {
  readonly line: ViewLine;
  readonly index: number;
  readonly view: GroupView;
  /** What lies between this one and the node's view before. */
  readonly since: "start" | "view" | "join" | Ending;
  /** The node's view before, in whatever life. */
  readonly before: number | undefined;
}

/** A node's time in one view. */
export interface Stay {
  readonly membership: Membership;
  readonly view: number;
  /** It came back to a view that it may have been in before a crash. */
  readonly resumed: boolean;
  /** First deliveries in it, replays left out. */
  readonly deliveries: Delivery[];
  /** The view installed directly after it; `undefined` when the stay ended otherwise. */
  next: number | undefined;
  /** Where that was. */
  nextIndex: number;
}

/** A node in one group. */
export interface NodeHistory {
  readonly name: string;
  life: Life;
  membership: Membership;
  view: number | undefined;
  stay: Stay | undefined;
  /** Why it is no member at present. */
  out: Ending | undefined;
  /** What has happened since its last view. */
  since: Installation["since"];
  before: number | undefined;
  /** It has crashed since its last join. */
  returned: boolean;
  /** It was the only member of its last view. */
  alone: boolean;
  /** It has shown since its last crash that it has its memory. */
  remembers: boolean;
  /** Names of all that it has delivered, in any life. */
  readonly heard: Set<string>;
}

/** A sender's receipt has resolved. */
export interface Receipt {
  readonly node: string;
  readonly m: string;
  readonly index: number;
}

/** A line about who leads. */
export interface Leading {
  readonly line: EpochLine | LeaderLine;
  readonly index: number;
  readonly membership: Membership;
}

/** One group of a trace. */
export interface GroupHistory {
  readonly group: string;
  readonly nodes: Map<string, NodeHistory>;
  readonly messages: Map<string, Message>;
  /** Lives that have sent something, by slot. */
  readonly senders: Life[];
  readonly memberships: Membership[];
  readonly deliveries: Delivery[];
  readonly stays: Stay[];
  readonly installations: Installation[];
  /** By number; more than one with the same number contradict each other. */
  readonly views: Map<number, GroupView[]>;
  readonly leadings: Leading[];
  readonly receipts: Receipt[];
  /** Indices of `send` lines whose message had been sent before. */
  readonly resent: number[];
}

/** A trace, sorted out. */
export interface History {
  readonly lines: readonly TraceLine[];
  readonly groups: readonly GroupHistory[];
  /** The message of each first `send` line and the delivery of each `deliver` line, by index of the lines. */
  readonly sends: readonly (Message | undefined)[];
  readonly deliveries: readonly (Delivery | undefined)[];
  /** The nodes that are up at the end; `undefined` without an `end` line. */
  readonly correct: readonly string[] | undefined;
}

/**
 * Which nodes are asked to deliver everything in a group at the end.
 *
 * @param history The trace.
 * @param group One of its groups.
 * @returns The correct nodes; with several groups, only those that wrote of this one.
 */
export function correctIn(history: History, group: GroupHistory): readonly string[] {
  const correct = history.correct ?? [];
  return history.groups.length === 1 ? correct : correct.filter((node) => group.nodes.has(node));
}

/**
 * Whether a message lies in a node's time: no state transfer can have brought it. It does when the node did not join, and
 * when the message was delivered - or, when nobody did, sent - in the node's first view or later.
 *
 * @param message The message.
 * @param membership The node's membership.
 * @returns False when the snapshot may cover it.
 */
export function isOwed(message: Message, { joined, firstView }: Membership): boolean {
  return !joined || (message.deliveredIn ?? message.view ?? -Infinity) >= (firstView ?? Infinity);
}
