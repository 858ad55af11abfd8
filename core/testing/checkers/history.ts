/**
 * A node trace, sorted out once for all checkers: groups, messages, and of each node its lives and tenures.
 *
 * A *life* is what one process of a node did: a crash ends it, and so does a `join` after it has sent or delivered. A *tenure*
 * is what is asked of a node as one: it starts with the node or with a `join`, so a node that is killed and comes back
 * with its memory (no `join`) goes on in its tenure with a new life.
 *
 * Only the order of each node's own lines is used here, so traces merged node by node read the same.
 */
import type { DeliverLine, SendLine, TraceLine } from "../../runtime/trace.ts";

/** What one process of a node did. */
export interface Life {
  readonly node: string;
  /** Its place among all lives of the group that have sent something; -1 before the first send. */
  slot: number;
  /** What it has sent, in order. */
  readonly sent: Message[];
  /** What it has delivered. */
  readonly delivered: Set<string>;
}

/** What is asked of a node as one. */
export interface Tenure {
  readonly node: string;
  /** It starts from a state transfer: what came before is not asked of it. */
  joined: boolean;
  /** Nothing was sent or delivered in it so far. */
  untouched: boolean;
  /** The first view installed in it, if any. */
  firstView: number | undefined;
  /** First deliveries of known messages, in order. */
  deliveries: Delivery[];
  /** The same, to look up. */
  readonly delivered: Map<Message, Delivery>;
}

/** A message that somebody sent. */
export interface Message {
  readonly m: string;
  readonly life: Life;
  readonly tenure: Tenure;
  /** Its number among those its life has sent, from 1. */
  readonly sequence: number;
  /** Its send was rejected: it may be missing everywhere. */
  failed: boolean;
  /** Where it was sent, as an index of the lines. */
  readonly index: number;
}

/** A delivery, first or repeated. */
export interface Delivery {
  readonly line: DeliverLine;
  readonly index: number;
  readonly life: Life;
  readonly tenure: Tenure;
  /** The node's view at that time, if it wrote one. */
  readonly view: number | undefined;
  /** Delivered before by the same life. */
  readonly repeated: boolean;
  /** Delivered after a crash, before any sign that the node is up again. */
  readonly down: boolean;
  /** What was delivered; `undefined` when nobody sent it in this group. */
  message: Message | undefined;
}

/** A node in one group. */
export interface NodeHistory {
  readonly name: string;
  life: Life;
  tenure: Tenure;
  view: number | undefined;
  /** The lowest view that it ever installed. */
  firstView: number | undefined;
  down: boolean;
}

/** One group of a trace. */
export interface GroupHistory {
  readonly group: string;
  readonly nodes: Map<string, NodeHistory>;
  readonly messages: Map<string, Message>;
  /** Lives that have sent something, by slot. */
  readonly senders: Life[];
  readonly tenures: Tenure[];
  readonly deliveries: Delivery[];
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
 * Sorts out a trace.
 *
 * @param lines The trace, each node's lines in the order in which they happened.
 * @returns Its groups and events.
 */
export function readHistory(lines: readonly TraceLine[]): History {
  const groups = new Map<string, GroupHistory>();
  const groupsOf = new Map<string, Set<GroupHistory>>();
  let correct: readonly string[] | undefined;
  for (const line of lines) {
    if (line.e === "end") correct = line.correct;
    else if (line.e !== "crash" || line.g !== undefined) {
      const name = line.g ?? "";
      let group = groups.get(name);
      if (group === undefined) groups.set(name, group = emptyGroup(name));
      let own = groupsOf.get(line.n);
      if (own === undefined) groupsOf.set(line.n, own = new Set());
      own.add(group);
    }
  }
  const sends: (Message | undefined)[] = new Array(lines.length);
  const deliveries: (Delivery | undefined)[] = new Array(lines.length);
  lines.forEach((line, index) => {
    if (line.e === "end") return;
    if (line.e === "crash" && line.g === undefined) {
      for (const group of groupsOf.get(line.n) ?? []) take(group, line, index);
      return;
    }
    const event = take(groups.get(line.g ?? "")!, line, index);
    if (event === undefined) return;
    if ("line" in event) deliveries[index] = event;
    else sends[index] = event;
  });
  for (const group of groups.values()) resolve(group);
  return { lines, groups: [...groups.values()], sends, deliveries, correct };
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

function emptyGroup(group: string): GroupHistory {
  return {
    group,
    nodes: new Map(),
    messages: new Map(),
    senders: [],
    tenures: [],
    deliveries: [],
    resent: [],
  };
}

function newLife(node: string): Life {
  return { node, slot: -1, sent: [], delivered: new Set() };
}

function newTenure(group: GroupHistory, node: string): Tenure {
  const tenure: Tenure = {
    node,
    joined: false,
    untouched: true,
    firstView: undefined,
    deliveries: [],
    delivered: new Map(),
  };
  group.tenures.push(tenure);
  return tenure;
}

function nodeOf(group: GroupHistory, name: string): NodeHistory {
  let node = group.nodes.get(name);
  if (node === undefined) {
    node = {
      name,
      life: newLife(name),
      tenure: newTenure(group, name),
      view: undefined,
      firstView: undefined,
      down: false,
    };
    group.nodes.set(name, node);
  }
  return node;
}

/** Takes one line into a group; returns the message or delivery that it stands for. */
function take(group: GroupHistory, line: TraceLine, index: number): Message | Delivery | undefined {
  if (line.e === "end") return undefined;
  const node = nodeOf(group, line.n);
  switch (line.e) {
    case "crash":
      node.down = true;
      return undefined;
    case "join":
      rise(node);
      join(group, node);
      return undefined;
    case "view":
      rise(node);
      node.view = line.v;
      node.firstView ??= line.v;
      node.tenure.firstView ??= line.v;
      return undefined;
    case "epoch":
    case "leader":
      rise(node);
      return undefined;
    case "send":
      rise(node);
      return send(group, node, line, index);
    case "deliver":
      if (line.replay) rise(node);
      return deliver(group, node, line, index);
    case "acked":
    case "lock":
    case "unlock":
    case "expire":
    case "use":
    case "effect":
    case "done":
      return undefined;
  }
}

/** A sign that the node is up: after a crash, a new life. */
function rise(node: NodeHistory): void {
  if (!node.down) return;
  node.down = false;
  node.life = newLife(node.name);
  node.view = undefined;
}

function join(group: GroupHistory, node: NodeHistory): void {
  if (node.life.sent.length > 0 || node.life.delivered.size > 0) {
    node.life = newLife(node.name);
    node.view = undefined;
  }
  if (!node.tenure.untouched) node.tenure = newTenure(group, node.name);
  node.tenure.joined = true;
  // The view may have been written just before the join.
  node.tenure.firstView = node.view;
}

function send(group: GroupHistory, node: NodeHistory, line: SendLine, index: number): Message | undefined {
  const known = group.messages.get(line.m);
  const failed = line.failed === true;
  if (known !== undefined) {
    if (known.life.node !== node.name || !(failed || known.failed)) group.resent.push(index);
    known.failed ||= failed;
    return undefined;
  }
  const { life, tenure } = node;
  tenure.untouched = false;
  if (life.slot < 0) life.slot = group.senders.push(life) - 1;
  const message: Message = { m: line.m, life, tenure, sequence: life.sent.length + 1, failed, index };
  life.sent.push(message);
  group.messages.set(line.m, message);
  return message;
}

function deliver(group: GroupHistory, node: NodeHistory, line: DeliverLine, index: number): Delivery {
  const { life, tenure, view, down } = node;
  const repeated = life.delivered.has(line.m);
  life.delivered.add(line.m);
  tenure.untouched = false;
  const delivery: Delivery = { line, index, life, tenure, view, repeated, down, message: undefined };
  group.deliveries.push(delivery);
  // Kept here, in order; `resolve` takes out those that turn out to be repeated or unknown.
  tenure.deliveries.push(delivery);
  return delivery;
}

/** Finds each delivery's message, which a trace merged node by node may name only later. */
function resolve(group: GroupHistory): void {
  for (const delivery of group.deliveries) delivery.message = group.messages.get(delivery.line.m);
  for (const tenure of group.tenures) {
    const { delivered } = tenure;
    tenure.deliveries = tenure.deliveries.filter((delivery) => {
      const { message } = delivery;
      if (message === undefined || delivered.has(message)) return false;
      delivered.set(message, delivery);
      return true;
    });
  }
}
