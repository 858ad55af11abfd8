/**
 * Integrity: nothing is delivered twice by one life of a node, nothing that nobody sent, nothing under a false sender's name,
 * and nothing by a node that was killed and is not up again (signs of that: `join`, `view`, `epoch`, `leader`, `send`, or a
 * delivery marked as replay). Needs no order between nodes.
 */
import type { History } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks integrity.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function integrity(history: History): Violation[] {
  const findings = new Findings("integrity");
  for (const group of history.groups) {
    for (const { line, index, message, repeated, down } of group.deliveries) {
      if (message === undefined) {
        findings.add(`${line.n} delivers ${line.m}, which nobody sent`, index);
        continue;
      }
      if (message.life.node !== line.from) {
        findings.add(
          `${line.n} delivers ${line.m} as from ${line.from}; ${message.life.node} sent it`,
          index,
        );
      }
      if (repeated && !line.replay) findings.add(`${line.n} delivers ${line.m} again`, index);
      if (down) findings.add(`${line.n} delivers ${line.m} after its crash`, index);
    }
    for (const index of group.resent) {
      const line = history.lines[index];
      if (line.e === "send") findings.add(`${line.n} sends ${line.m}, which was sent before`, index);
    }
  }
  return findings.violations;
}
