/**
 * Stability: when a sender's receipt resolves, every member that is up has delivered the message. Members are those of the
 * acknowledging node's view, or those handed in, or every node of the trace. Not asked of a node that is down, has left or been
 * evicted, or that joins after the message was sent. A member that has not yet installed that view delivers the message before
 * it does: that is looked at when it does, and not at all when it comes to it by a join. Needs the order in which things happened
 * between nodes: a simulation's trace.
 */
import type { TraceLine } from "../../runtime/trace.ts";
import type { Ending, GroupHistory, History } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/** What is known of a node of a group at one line. */
interface NodeState {
  readonly name: string;
  out: Ending | undefined;
  joinedIndex: number;
  view: number | undefined;
  members: readonly string[] | undefined;
  readonly delivered: Set<string>;
  /** What it must deliver before it installs a view, and who got a receipt for it. */
  readonly owed: Map<string, { readonly view: number; readonly sender: string }>;
}

/**
 * Checks stability.
 *
 * @param history The trace, in the order in which things happened.
 * @param members The members of a group whose nodes write no views; every node of the trace when left out.
 * @returns What breaks it.
 */
export function stability(history: History, members?: readonly string[]): Violation[] {
  const findings = new Findings("stability");
  for (const group of history.groups) {
    const checker = new GroupChecker(group, members ?? [...group.nodes.keys()], findings);
    history.lines.forEach((line, index) => checker.take(line, index));
  }
  return findings.violations;
}

class GroupChecker {
  readonly #group: GroupHistory;
  readonly #members: readonly string[];
  readonly #findings: Findings;
  readonly #states: Map<string, NodeState> = new Map();

  constructor(group: GroupHistory, members: readonly string[], findings: Findings) {
    this.#group = group;
    this.#members = members;
    this.#findings = findings;
  }

  take(line: TraceLine, index: number): void {
    const { group } = this.#group;
    if (line.e === "end" || (line.e === "crash" ? line.g ?? group : line.g ?? "") !== group) return;
    const node = this.#stateOf(line.n);
    switch (line.e) {
      case "crash":
      case "leave":
      case "evicted":
        if (node.out === undefined || node.out === "crash") node.out = line.e;
        return;
      case "join":
        node.out = undefined;
        node.joinedIndex = index;
        node.view = undefined;
        node.members = undefined;
        // All that was sent before: the snapshot covers it, or the tail.
        node.owed.clear();
        return;
      case "view":
        rise(node);
        this.#settle(node, line.v, index);
        node.view = line.v;
        node.members = line.members;
        return;
      case "send":
        if (!line.failed) rise(node);
        return;
      case "epoch":
      case "leader":
        rise(node);
        return;
      case "deliver":
        if (line.replay) rise(node);
        node.delivered.add(line.m);
        return;
      case "acked":
        this.#acknowledge(node, line.m, index);
        return;
      default:
        return;
    }
  }

  #stateOf(name: string): NodeState {
    let state = this.#states.get(name);
    if (state === undefined) {
      state = {
        name,
        out: undefined,
        joinedIndex: -1,
        view: undefined,
        members: undefined,
        delivered: new Set(),
        owed: new Map(),
      };
      this.#states.set(name, state);
    }
    return state;
  }

  #acknowledge(node: NodeState, m: string, index: number): void {
    const message = this.#group.messages.get(m);
    if (message === undefined) {
      this.#findings.add(`${node.name} gets a receipt for ${m}, which nobody sent`, index);
      return;
    }
    // Who is no member any more, or not yet again, has no view to ask about.
    if (node.out === "evicted" || (node.joinedIndex >= 0 && node.members === undefined && this.#hasViews)) {
      return;
    }
    for (const name of node.members ?? this.#members) {
      const member = this.#stateOf(name);
      if (member.out !== undefined || member.joinedIndex > message.index || member.delivered.has(m)) continue;
      const { view = -Infinity } = node;
      if ((member.view ?? -Infinity) < view) member.owed.set(m, { view, sender: node.name });
      else this.#findings.add(`${node.name} gets a receipt for ${m} before ${name} delivers it`, index);
    }
  }

  get #hasViews(): boolean {
    return this.#group.views.size > 0;
  }

  #settle(node: NodeState, installed: number, index: number): void {
    for (const [m, { view, sender }] of node.owed) {
      if (view > installed) continue;
      node.owed.delete(m);
      if (node.delivered.has(m)) continue;
      this.#findings.add(
        `${node.name} installs view ${installed} without ${m}, for which ${sender} got a receipt`,
        index,
      );
    }
  }
}

/** A sign that a killed node is up again. */
function rise(node: NodeState): void {
  if (node.out === "crash") node.out = undefined;
}
