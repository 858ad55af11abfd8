/**
 * Quorum: of two views that follow one another, enough members of the first had a part in the second, so that no two views can
 * follow the same one: a strict majority, or exactly half with the first view's most senior member. (The primary-component rule of
 * dynamic linear voting: Jajodia and Mutchler 1990; Primary Component Membership in Chockler, Keidar and Vitenberg 2001.)
 *
 * A part may have had who is in both views, and who is not in the second because it left, was slow, or restarted: it may have
 * answered. Who crashed did not answer. Views are compared that somebody installed; needs no order between nodes.
 */
import type { DepartureReason } from "../../runtime/trace.ts";
import type { GroupView, History } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

const ANSWERED: Readonly<Record<DepartureReason, boolean>> = {
  left: true,
  crashed: false,
  slow: true,
  restarted: true,
};

/**
 * Checks that views follow one another by a quorum.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function quorum(history: History): Violation[] {
  const findings = new Findings("quorum");
  for (const group of history.groups) {
    for (const [number, variants] of group.views) {
      const former = group.views.get(number - 1);
      if (former === undefined) continue;
      for (const view of variants) {
        if (former.some((before) => mayFollow(before, view))) continue;
        const { members } = former[0];
        const part = members.filter((name) => tookPart(name, view));
        findings.add(
          `view ${number} follows view ${number - 1} of ${members.join(", ")} ` +
            `with no more than ${part.join(", ") || "nobody"} of it`,
          view.index,
        );
        if (findings.full) return findings.violations;
      }
    }
  }
  return findings.violations;
}

function mayFollow({ members }: GroupView, view: GroupView): boolean {
  const twice = 2 * members.filter((name) => tookPart(name, view)).length;
  return twice > members.length || (twice === members.length && tookPart(members[0], view));
}

function tookPart(name: string, { members, departed }: GroupView): boolean {
  const reason = departed.get(name);
  return reason === undefined ? members.includes(name) : ANSWERED[reason];
}
