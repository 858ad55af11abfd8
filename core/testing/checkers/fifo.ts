/**
 * FIFO: of each life of a sender, its messages are delivered in the order sent, and none without all before it. Messages
 * whose send was rejected may be missing. A node that joined may start in the middle. Needs no order between nodes.
 */
import type { History, Message, Tenure } from "./history.ts";
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
    for (const tenure of group.tenures) checkTenure(tenure, group.senders.length, findings);
  }
  return findings.violations;
}

function checkTenure(tenure: Tenure, lifeCount: number, findings: Findings): void {
  /** The highest sequence delivered of each sending life. */
  const highest: (Message | undefined)[] = new Array(lifeCount);
  const replayed = new Set<number>();
  for (const { message, index, line } of tenure.deliveries) {
    const { m, life, sequence } = message!;
    const before = highest[life.slot];
    if (before !== undefined && sequence < before.sequence) {
      findings.add(`${tenure.node} delivers ${m} after ${before.m}, which ${life.node} sent later`, index);
      continue;
    }
    highest[life.slot] = message;
    // A node that joined starts where it starts. What it replays of a former life of its own may end anywhere: that life
    // had what follows as well.
    const fresh = before === undefined || replayed.has(life.slot);
    if (line.replay) replayed.add(life.slot);
    else replayed.delete(life.slot);
    if (fresh && tenure.joined) continue;
    for (let skipped = before?.sequence ?? 0; skipped < sequence - 1; skipped++) {
      const missing = life.sent[skipped];
      if (missing.failed) continue;
      findings.add(
        `${tenure.node} delivers ${m} without ${missing.m}, which ${life.node} sent before it`,
        index,
      );
      break;
    }
  }
}
