/** What a member may do by itself in a step. */
import type { ExplorerMember, StepEvent } from "./member.ts";
import { isExhausted, isWedged } from "./seat.ts";

/** What members do that sound ones do not. */
export interface ExplorerHabits {
  /** Whether members obtain messages that nobody has asked for after the wedge. */
  readonly eager?: boolean;
  /** Whether a proposer may conclude one ballot twice. */
  readonly concludesAgain?: boolean;
}

/** What a member may do by itself. What others must have done first is not looked at. */
export function eventsOf(member: ExplorerMember, index: number, habits: ExplorerHabits = {}): StepEvent[] {
  const { seat, change, instance } = member;
  const events: StepEvent[] = [];
  if (seat.stage === "done" || seat.stage === "out") return events;
  const { options } = instance;
  const reduced = options.reduced && habits.eager !== true;
  const wanted = change.state.decided?.cut ?? change.state.pending?.proposal.cut;
  instance.quota.forEach((quota, sender) => {
    if (sender === index || seat.held[sender] >= quota) return;
    // After the wedge a message matters only when the view change asks for it.
    const rank = seat.members.indexOf(sender);
    if (seat.stage === "member" && reduced && isWedged(seat)) {
      if (wanted === undefined || rank < 0 || seat.held[sender] >= wanted[rank]) return;
    }
    events.push({ kind: "obtain", sender });
  });
  if (seat.stage === "joiner") return events;
  if (seat.sent.length < instance.quota[index] && member.maySend()) events.push({ kind: "send" });
  if (change.state.decided === undefined) {
    if (!isExhausted(seat)) events.push({ kind: "propose" });
    const again = habits.concludesAgain === true && change.state.phase === "accepting";
    if ((change.state.phase === "collecting" || again) && change.isQuorum(change.answered)) {
      events.push({ kind: "conclude" });
    }
    if (change.state.phase === "confirming") events.push({ kind: "settle" });
    if (change.state.phase !== "idle") events.push({ kind: "repeat" });
  }
  if (options.restarts > 0 && !seat.restarted) events.push({ kind: "restart" });
  return events;
}
