/**
 * Sorts out a node trace. Only the order of each node's own lines is used, so traces merged node by node read the same.
 */
import type {
  DeliverLine,
  EpochLine,
  LeaderLine,
  SendLine,
  TraceLine,
  ViewLine,
} from "../../runtime/trace.ts";
import type {
  Delivery,
  Ending,
  GroupHistory,
  GroupView,
  History,
  Life,
  Membership,
  Message,
  NodeHistory,
} from "./history.ts";

/**
 * Sorts out a trace.
 *
 * @param lines The trace, each node's lines in the order in which they happened.
 * @returns Its groups and events.
 */
export function readHistory(lines: readonly TraceLine[]): History {
  const groups = new Map<string, GroupReader>();
  const groupsOf = new Map<string, Set<GroupReader>>();
  let correct: readonly string[] | undefined;
  for (const line of lines) {
    if (line.e === "end") correct = line.correct;
    else if (line.e !== "crash" || line.g !== undefined) {
      const name = line.g ?? "";
      let group = groups.get(name);
      if (group === undefined) groups.set(name, group = new GroupReader(name));
      let own = groupsOf.get(line.n);
      if (own === undefined) groupsOf.set(line.n, own = new Set());
      own.add(group);
    }
  }
  const sends: (Message | undefined)[] = new Array(lines.length);
  const deliveries: (Delivery | undefined)[] = new Array(lines.length);
  lines.forEach((line, index) => {
    if (line.e === "end") return;
    // Who is killed is killed in all its groups.
    const own = line.e === "crash" && line.g === undefined
      ? groupsOf.get(line.n) ?? []
      : [groups.get(line.g ?? "")!];
    for (const group of own) {
      const event = group.take(line, index);
      if (event === undefined) continue;
      if ("line" in event) deliveries[index] = event;
      else sends[index] = event;
    }
  });
  for (const group of groups.values()) group.resolve();
  return { lines, groups: [...groups.values()].map(({ history }) => history), sends, deliveries, correct };
}

/** Takes the lines of one group. */
class GroupReader {
  readonly history: GroupHistory;

  constructor(group: string) {
    this.history = {
      group,
      nodes: new Map(),
      messages: new Map(),
      senders: [],
      memberships: [],
      deliveries: [],
      stays: [],
      installations: [],
      views: new Map(),
      leadings: [],
      receipts: [],
      resent: [],
    };
  }

  /** Takes one line; returns the message or delivery that it stands for. */
  take(line: TraceLine, index: number): Message | Delivery | undefined {
    if (line.e === "end") return undefined;
    const node = this.#nodeOf(line.n);
    switch (line.e) {
      case "leave":
        // The last member of a durable group takes the group with it, and comes back as after a crash.
        end(node, node.alone ? "crash" : line.e);
        return undefined;
      case "crash":
      case "evicted":
        end(node, line.e);
        return undefined;
      case "join":
        this.#join(node);
        return undefined;
      case "view":
        rise(node);
        this.#install(node, line, index);
        return undefined;
      case "epoch":
      case "leader":
        rise(node);
        this.#lead(node, line, index);
        return undefined;
      case "send":
        if (!line.failed) rise(node);
        return this.#send(node, line, index);
      case "deliver":
        if (line.replay) {
          rise(node);
          node.remembers = true;
        }
        return this.#deliver(node, line, index);
      case "acked":
        this.history.receipts.push({ node: line.n, m: line.m, index });
        return undefined;
      case "election":
      case "lock":
      case "unlock":
      case "expire":
      case "use":
      case "effect":
      case "done":
        return undefined;
    }
  }

  /** The last that a process had sent when it was killed, and nobody ever delivered, never left it: it may be missing. */
  #forgive(): void {
    const { deliveries, receipts, senders } = this.history;
    const seen = new Set<string>(receipts.map(({ m }) => m));
    for (const { line } of deliveries) seen.add(line.m);
    for (const { killed, sent } of senders) {
      if (!killed) continue;
      for (let index = sent.length - 1; index >= 0 && !seen.has(sent[index].m); index--) {
        sent[index].failed = true;
      }
    }
  }

  /** Finds each delivery's message, which a trace merged node by node may name only later. */
  resolve(): void {
    const { deliveries, messages } = this.history;
    for (const delivery of deliveries) {
      const message = delivery.message = messages.get(delivery.line.m);
      if (message === undefined) continue;
      const { delivered } = delivery.membership;
      delivery.repeated = delivered.has(message);
      if (delivery.repeated) continue;
      delivered.set(message, delivery);
      if (delivery.view !== undefined) {
        message.deliveredIn = Math.min(message.deliveredIn ?? Infinity, delivery.view);
      }
    }
    this.#forgive();
    for (const stay of this.history.stays) {
      const all = stay.deliveries.splice(0);
      for (const delivery of all) {
        if (delivery.message !== undefined && !delivery.repeated) stay.deliveries.push(delivery);
      }
    }
  }

  #nodeOf(name: string): NodeHistory {
    let node = this.history.nodes.get(name);
    if (node === undefined) {
      node = {
        name,
        life: newLife(name),
        membership: this.#newMembership(name, false),
        view: undefined,
        stay: undefined,
        out: undefined,
        since: "start",
        alone: false,
        returned: false,
        before: undefined,
        remembers: false,
        heard: new Set(),
      };
      this.history.nodes.set(name, node);
    }
    return node;
  }

  #newMembership(node: string, joined: boolean): Membership {
    const membership: Membership = {
      node,
      joined,
      untouched: true,
      firstView: undefined,
      lastView: undefined,
      delivered: new Map(),
    };
    this.history.memberships.push(membership);
    return membership;
  }

  #join(node: NodeHistory): void {
    if (node.membership.untouched) node.membership.joined = true;
    else node.membership = this.#newMembership(node.name, true);
    node.life = newLife(node.name);
    node.view = undefined;
    node.stay = undefined;
    node.out = undefined;
    node.since = "join";
    node.returned = false;
  }

  #install(node: NodeHistory, line: ViewLine, index: number): void {
    const { since, before } = node;
    const { v, members } = line;
    // A founder comes back with nothing, and with no join: there is nobody to join.
    if (since === "crash" && v === 1 && members.length === 1 && !node.remembers) {
      node.membership = this.#newMembership(node.name, false);
    }
    const { membership } = node;
    this.history.installations.push({ line, index, view: this.#viewOf(line, index), since, before });
    node.before = v;
    // A node that is out stays out until it joins: each of its views is one too many.
    if (node.out !== undefined) return;
    if (node.stay !== undefined) {
      node.stay.next = v;
      node.stay.nextIndex = index;
    }
    // Who was killed may have been in the view, and not have told so; and have joined before, and not have told that.
    const resumed = since === "crash" || (since === "join" && node.remembers) ||
      v <= (membership.lastView ?? -Infinity);
    node.stay = { membership, view: v, resumed, deliveries: [], next: undefined, nextIndex: -1 };
    this.history.stays.push(node.stay);
    membership.untouched = false;
    membership.firstView ??= v;
    membership.lastView = v;
    node.view = v;
    node.alone = members.length === 1;
    node.since = "view";
  }

  #viewOf({ v, n, members, departed }: ViewLine, index: number): GroupView {
    let variants = this.history.views.get(v);
    if (variants === undefined) this.history.views.set(v, variants = []);
    let view = variants.find((variant) => isSameList(variant.members, members));
    if (view === undefined) {
      variants.push(view = { number: v, members, departed: new Map(), node: n, index });
    }
    for (const [name, reason] of Object.entries(departed ?? {})) {
      if (!view.departed.has(name)) view.departed.set(name, reason);
    }
    return view;
  }

  #lead(node: NodeHistory, line: EpochLine | LeaderLine, index: number): void {
    node.membership.untouched = false;
    this.history.leadings.push({ line, index, membership: node.membership });
  }

  #send(node: NodeHistory, { m, failed = false }: SendLine, index: number): Message | undefined {
    const { messages, resent, senders } = this.history;
    const { life, membership, view, out } = node;
    const known = messages.get(m);
    if (known !== undefined) {
      if (known.life.node !== node.name || !(failed || known.failed)) resent.push(index);
      known.failed ||= failed;
      return undefined;
    }
    membership.untouched = false;
    if (life.slot < 0) life.slot = senders.push(life) - 1;
    const sequence = life.sent.length + 1;
    const message: Message = {
      m,
      number: messages.size,
      life,
      membership,
      sequence,
      failed,
      index,
      view,
      out,
      deliveredIn: undefined,
    };
    life.sent.push(message);
    messages.set(m, message);
    return message;
  }

  #deliver(node: NodeHistory, line: DeliverLine, index: number): Delivery {
    const { membership, life, out } = node;
    const replay = line.replay === true;
    // What is delivered again after the view was told once more is of that view. What a process that was killed might have
    // delivered, and had not, is not delivered again.
    const again = replay && !(node.view !== undefined && (node.returned || !node.heard.has(line.m)));
    node.heard.add(line.m);
    const past = out !== undefined || again || (membership.joined && node.view === undefined);
    const delivery: Delivery = {
      line,
      index,
      membership,
      life,
      lastView: membership.lastView,
      view: past ? undefined : node.view,
      past,
      tail: membership.joined && membership.firstView === undefined && out === undefined && !replay,
      out,
      repeated: false,
      message: undefined,
    };
    membership.untouched = false;
    this.history.deliveries.push(delivery);
    // `resolve` takes out what turns out to be repeated or unknown.
    if (!past) node.stay?.deliveries.push(delivery);
    return delivery;
  }
}

function newLife(node: string): Life {
  return { node, slot: -1, sent: [], killed: false };
}

/** A membership ends, or is broken off by a crash. */
function end(node: NodeHistory, ending: Ending): void {
  // Who was evicted comes back only by a join, killed or not; who is killed on its way out has not left.
  if (node.out === "evicted" || (node.out === "leave" && ending !== "crash")) return;
  node.out = ending;
  node.since = ending;
  node.remembers = false;
  if (ending === "crash") node.life.killed = node.returned = true;
  node.life = newLife(node.name);
  node.view = undefined;
  node.stay = undefined;
}

/** A sign that a killed node is up again, in a new life. */
function rise(node: NodeHistory): void {
  if (node.out === "crash") node.out = undefined;
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
