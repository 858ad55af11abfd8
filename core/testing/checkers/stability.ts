/**
 * Stability: when a sender's receipt resolves, every member that is up has delivered the message. Members are those of the
 * acknowledging node's view, or those handed in, or every node of the trace. Not asked of a node that is down, or that
 * joined after the message was sent. Needs the order in which things happened between nodes: a simulation's trace.
 */
import type { History } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/** What is known of a node of a group at one line. */
interface NodeState {
  down: boolean;
  joinedIndex: number;
  members: readonly string[] | undefined;
  readonly delivered: Set<string>;
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
  for (const group of history.groups) checkGroup(history, group.group, members, findings);
  return findings.violations;
}

function checkGroup(
  history: History,
  groupName: string,
  members: readonly string[] | undefined,
  findings: Findings,
): void {
  const group = history.groups.find((candidate) => candidate.group === groupName)!;
  const states = new Map<string, NodeState>();
  const stateOf = (name: string): NodeState => {
    let state = states.get(name);
    if (state === undefined) {
      states.set(name, state = { down: false, joinedIndex: -1, members: undefined, delivered: new Set() });
    }
    return state;
  };
  history.lines.forEach((line, index) => {
    if (line.e === "end" || (line.e === "crash" ? line.g ?? groupName : line.g ?? "") !== groupName) return;
    const state = stateOf(line.n);
    switch (line.e) {
      case "crash":
        state.down = true;
        return;
      case "join":
        state.down = false;
        state.joinedIndex = index;
        return;
      case "view":
        state.down = false;
        state.members = line.members;
        return;
      case "send":
      case "epoch":
      case "leader":
        state.down = false;
        return;
      case "deliver":
        if (line.replay) state.down = false;
        state.delivered.add(line.m);
        return;
      case "acked": {
        const message = group.messages.get(line.m);
        if (message === undefined) {
          findings.add(`${line.n} gets a receipt for ${line.m}, which nobody sent`, index);
          return;
        }
        for (const name of state.members ?? members ?? group.nodes.keys()) {
          const member = stateOf(name);
          if (member.down || member.joinedIndex > message.index || member.delivered.has(line.m)) continue;
          findings.add(`${line.n} gets a receipt for ${line.m} before ${name} delivers it`, index);
        }
        return;
      }
      default:
        return;
    }
  });
}
