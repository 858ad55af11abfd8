/**
 * One leader per epoch: at most one node acts as the leader of an epoch, in one membership; all nodes are told the same leader; and
 * whoever leads is a member of the view with that number, where the trace has it. (Election safety, as in Ongaro and
 * Ousterhout 2014, "In search of an understandable consensus algorithm", with the view's number as the term.) Needs no order
 * between nodes.
 */
import type { GroupHistory, History, Leading } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks that no epoch has two leaders.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function oneLeaderPerEpoch(history: History): Violation[] {
  const findings = new Findings("one-leader-per-epoch");
  for (const group of history.groups) checkGroup(group, findings);
  return findings.violations;
}

function checkGroup(group: GroupHistory, findings: Findings): void {
  const acting = new Map<number, Leading>();
  const told = new Map<number, string>();
  for (const leading of group.leadings) {
    const { line, index, membership } = leading;
    const { n, epoch } = line;
    if (line.e === "leader") {
      const first = acting.get(epoch);
      if (first === undefined) acting.set(epoch, leading);
      else if (first.line.n !== n) {
        findings.add(`${n} acts as leader of epoch ${epoch}, and so does ${first.line.n}`, index);
      } else if (first.membership !== membership) {
        findings.add(`${n} acts as leader of epoch ${epoch} again, as another member`, index);
      }
      checkMember(group, epoch, n, index, findings);
    } else if (line.leader !== undefined) {
      const other = told.get(epoch);
      if (other === undefined) told.set(epoch, line.leader);
      else if (other !== line.leader) {
        findings.add(
          `${n} is told that ${line.leader} leads epoch ${epoch}, others that ${other} does`,
          index,
        );
      }
      checkMember(group, epoch, line.leader, index, findings);
    }
  }
  for (const [epoch, { line, index }] of acting) {
    const leader = told.get(epoch);
    if (leader === undefined || leader === line.n) continue;
    findings.add(
      `${line.n} acts as leader of epoch ${epoch}, but others are told that ${leader} leads it`,
      index,
    );
  }
}

function checkMember(
  group: GroupHistory,
  epoch: number,
  leader: string,
  index: number,
  findings: Findings,
): void {
  const variants = group.views.get(epoch);
  if (variants === undefined || variants.some(({ members }) => members.includes(leader))) return;
  findings.add(`${leader} leads epoch ${epoch} but is not in view ${epoch}`, index);
}
