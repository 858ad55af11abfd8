/**
 * FIFO: of each life of a sender, its messages are delivered in the order sent, and none without all before it. Messages
 * whose send was rejected may be missing, and so may a life's last ones: nothing of it is delivered after them. A node that
 * joined may start in the middle of what its snapshot can cover. Needs no order between nodes.
 */
import { type History, isOwed, type Membership, type Message } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks FIFO order.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function fifo(history: History): Violation[] {
  const findings = new Findings("fifo");
  for (const group of history.groups) {
    for (const membership of group.memberships) {
      checkMembership(membership, group.senders.length, findings);
      if (findings.full) return findings.violations;
    }
  }
  return findings.violations;
}

function checkMembership(membership: Membership, lifeCount: number, findings: Findings): void {
  /** The highest sequence delivered of each sending life. */
  const highest: (Message | undefined)[] = new Array(lifeCount);
  const replayed = new Set<number>();
  for (const [message, { index, line }] of membership.delivered) {
    const { m, life, sequence } = message;
    const before = highest[life.slot];
    if (before !== undefined && sequence < before.sequence) {
      findings.add(`${line.n} delivers ${m} after ${before.m}, which ${life.node} sent later`, index);
      continue;
    }
    highest[life.slot] = message;
    // A node that joined starts where its snapshot ends. What it replays of a former life of its own may end anywhere: that life
    // had what follows as well.
    const fresh = before === undefined || replayed.has(life.slot);
    if (line.replay) replayed.add(life.slot);
    else replayed.delete(life.slot);
    for (let skipped = before?.sequence ?? 0; skipped < sequence - 1; skipped++) {
      const missing = life.sent[skipped];
      if (missing.failed || (fresh && !isOwed(missing, membership))) continue;
      findings.add(`${line.n} delivers ${m} without ${missing.m}, which ${life.node} sent before it`, index);
      break;
    }
  }
}
