/**
 * Integrity: nothing is delivered twice in one membership of a node, nothing that nobody sent, nothing under a false sender's
 * name, and nothing by a node that is no member: that was killed and is not up again (signs of that: `join`, `view`, `epoch`,
 * `leader`, an accepted `send`, or a delivery marked as replay), or has left or been evicted and not joined again. Who has left sends nothing
 * either. (Delivery Integrity and No Duplication in Chockler, Keidar and Vitenberg 2001.) Needs no order between nodes.
 */
import type { Ending, History } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

const AFTER: Readonly<Record<Ending, string>> = {
  crash: "after its crash",
  leave: "after it left",
  evicted: "after its eviction",
};

/**
 * Checks integrity.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function integrity(history: History): Violation[] {
  const findings = new Findings("integrity");
  for (const group of history.groups) {
    for (const { line, index, message, repeated, out } of group.deliveries) {
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
      if (out !== undefined) findings.add(`${line.n} delivers ${line.m} ${AFTER[out]}`, index);
    }
    for (const { m, life, out, failed, index } of group.messages.values()) {
      if (out === "leave" && !failed) findings.add(`${life.node} sends ${m} ${AFTER[out]}`, index);
    }
    for (const index of group.resent) {
      const line = history.lines[index];
      if (line.e === "send") findings.add(`${line.n} sends ${line.m}, which was sent before`, index);
    }
  }
  return findings.violations;
}
