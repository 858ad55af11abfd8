/**
 * Views: there is one sequence of them. A number has the same members everywhere, in the same order; every node is in each view
 * that it installs; within a membership each view is the one after the node's last; a membership that starts with a join starts
 * above all that the node had before. (Self Inclusion, Local Monotonicity and the primary-component properties of Chockler, Keidar
 * and Vitenberg 2001, "Group communication specifications: a comprehensive study", section 3.)
 *
 * A node that comes back from a crash without a join - with its memory, or as the founder - goes on in the view that it had
 * or in the one after it. Needs no order between nodes.
 */
import type { GroupHistory, GroupView, History, Installation } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks views.
 *
 * @param history The trace.
 * @returns What breaks the rules.
 */
export function views(history: History): Violation[] {
  const findings = new Findings("views");
  for (const group of history.groups) {
    for (const variants of group.views.values()) {
      for (const view of variants) checkMembers(view, variants[0], findings);
    }
    for (const installation of group.installations) {
      const { line, index } = installation;
      if (!line.members.includes(line.n)) {
        findings.add(`${line.n} installs view ${line.v} without being in it`, index);
      }
      const wrong = outOfTurn(installation);
      if (wrong !== undefined) findings.add(`${line.n} installs view ${line.v} ${wrong}`, index);
      checkDeparted(group, installation, findings);
      if (findings.full) return findings.violations;
    }
  }
  return findings.violations;
}

function checkMembers(view: GroupView, first: GroupView, findings: Findings): void {
  const { node, number, members, index } = view;
  if (view !== first) {
    findings.add(
      `${node} installs view ${number} of ${members.join(", ")}, ` +
        `but ${first.node} installs it of ${first.members.join(", ")}`,
      index,
    );
  }
  const twice = members.find((name, place) => members.indexOf(name) < place);
  if (twice !== undefined) findings.add(`view ${number} has ${twice} twice`, index);
}

/** Why a node may not install a view at this point. */
function outOfTurn({ line: { v }, since, before }: Installation): string | undefined {
  switch (since) {
    case "start":
      return undefined;
    case "view":
      return v === before! + 1 ? undefined : `after view ${before}`;
    case "join":
      return before === undefined || v > before
        ? undefined
        : `after a join, although it had view ${before} before`;
    case "crash":
      // It may have installed further ones, and been killed before it could tell.
      return before === undefined || v >= before
        ? undefined
        : `after a crash in view ${before} and without a join`;
    case "leave":
      return "after it left, without a join";
    case "evicted":
      return "after its eviction, without a join";
  }
}

/** What a view says of those who are gone must be true of the view before, and the same at all nodes. */
function checkDeparted(group: GroupHistory, { line, view, index }: Installation, findings: Findings): void {
  for (const [name, reason] of Object.entries(line.departed ?? {})) {
    const told = view.departed.get(name);
    if (told !== reason) {
      findings.add(
        `${line.n} is told that ${name} is not in view ${line.v} as ${reason}, others that as ${told}`,
        index,
      );
    }
    const before = group.views.get(line.v - 1);
    if (before !== undefined && !before.some(({ members }) => members.includes(name))) {
      findings.add(`${name} departs before view ${line.v} but is not in view ${line.v - 1}`, index);
    }
    // Whose process came back may be in both, as another life.
    if (reason !== "restarted" && line.members.includes(name)) {
      findings.add(`${name} departs before view ${line.v} as ${reason} but is in it`, index);
    }
  }
}
