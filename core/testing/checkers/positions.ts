/**
 * Index: positions are consecutive from 1 over the group's life. Each life of a node delivers at consecutive ones: from 1, or from
 * anywhere after a join, or after a crash from what it had or directly behind; of what stands, a position has one message and a
 * message one position; and no position is left out that is lower than one used. Needs no order between nodes.
 */
import { type Run, runsOf, stands, standsBelow } from "./delivery_runs.ts";
import type { Delivery, History } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks positions.
 *
 * @param history The trace.
 * @returns What breaks the rules.
 */
export function index(history: History): Violation[] {
  const findings = new Findings("index");
  for (const group of history.groups) {
    const runs = runsOf(history, group);
    /** The highest position in each run and those before it in its membership. */
    const highest = new Map<Run, number>();
    for (const run of runs) {
      const former = run.former === undefined ? 0 : highest.get(run.former)!;
      highest.set(run, Math.max(former, checkRun(run, former, findings)));
    }
    checkPositions(
      runs.flatMap(({ all, membership }) => {
        const limit = standsBelow(history, group, membership);
        return all.filter((delivery) => stands(delivery, limit));
      }),
      findings,
    );
    checkGaps(runs.flatMap(({ all }) => all), findings);
  }
  return findings.violations;
}

/** Checks that a life's positions are consecutive; returns the highest. */
function checkRun({ all, start }: Run, former: number, findings: Findings): number {
  let highest = 0;
  let last: number | undefined;
  for (const { line: { n, m, i }, index } of all) {
    if (i === undefined || !isPosition(i)) {
      findings.add(
        `${n} delivers ${m} ${i === undefined ? "without a position" : `at position ${i}`}`,
        index,
      );
      continue;
    }
    if (last !== undefined) {
      if (i !== last + 1) findings.add(`${n} delivers ${m} at position ${i} after position ${last}`, index);
    } else if (start === "beginning" && i !== 1) {
      findings.add(`${n} delivers ${m} at position ${i} first`, index);
    } else if (start === "restart" && i > former + 1) {
      findings.add(`${n} delivers ${m} at position ${i} after a crash at position ${former}`, index);
    }
    last = i;
    highest = Math.max(highest, i);
  }
  return highest;
}

/**
 * Checks that no position has two messages and no message two positions. Deliveries without a position say nothing.
 *
 * @param deliveries What was delivered.
 * @param findings Gets what contradicts that.
 */
export function checkPositions(deliveries: readonly Delivery[], findings: Findings): void {
  const messages = new Map<number, Delivery>();
  const positions = new Map<string, Delivery>();
  for (const delivery of deliveries) {
    const { line: { n, m, i }, index } = delivery;
    if (i === undefined || !isPosition(i)) continue;
    const other = messages.get(i);
    if (other !== undefined) {
      if (other.line.m === m) continue;
      findings.add(
        `${n} delivers ${m} at position ${i}, ${other.line.n} delivers ${other.line.m} there`,
        index,
      );
      continue;
    }
    messages.set(i, delivery);
    const known = positions.get(m);
    if (known === undefined) {
      positions.set(m, delivery);
      continue;
    }
    const { n: first, i: position } = known.line;
    findings.add(`${n} delivers ${m} at position ${i}, ${first} delivers it at position ${position}`, index);
  }
}

/** Whoever starts later starts behind what others have delivered. */
function checkGaps(deliveries: readonly Delivery[], findings: Findings): void {
  const used = new Map<number, Delivery>();
  for (const delivery of deliveries) {
    const { i } = delivery.line;
    if (i !== undefined && isPosition(i) && !used.has(i)) used.set(i, delivery);
  }
  let last = 0;
  for (const position of Float64Array.from(used.keys()).sort()) {
    if (position !== last + 1) {
      const { line: { n, m }, index } = used.get(position)!;
      findings.add(`${n} delivers ${m} at position ${position}, nobody at position ${last + 1}`, index);
    }
    last = position;
  }
}

function isPosition(position: number): boolean {
  return Number.isSafeInteger(position) && position >= 1;
}
