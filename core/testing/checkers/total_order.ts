/**
 * Total order, of what stands: one order exists in which every node delivers. It is asked of nodes that went on together; at level
 * `agreed` the last deliveries of a node that crashed or was cut off may contradict it. (Total Order in Hadzilacos and Toueg 1994, "A
 * modular approach to fault-tolerant broadcasts". Comparing nodes pair by pair, as there, would let pass three nodes that deliver
 * a b, b c and c a.)
 *
 * Prefix, of what stands: the histories are beginnings of one sequence, without gaps; that of a node that joined is a piece of it.
 *
 * Uniform total order, of everything that any node ever delivered: all histories are pieces of one sequence, and no position has
 * two messages, nor a message two positions. (Strong Uniform Total Order in Baldoni, Cimmino and Marchetti 2006, "A
 * classification of total order specifications and its application to fixed sequencer-based implementations".)
 *
 * None of them needs an order between nodes.
 */
import { acrossCrashes, type Run, runsOf } from "./delivery_runs.ts";
import type { History, Message } from "./history.ts";
import { checkOneOrder, checkOneSequence, type Sequence } from "./one_order.ts";
import { checkPositions } from "./positions.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks total order.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function totalOrder(history: History): Violation[] {
  const findings = new Findings("total-order");
  for (const group of history.groups) {
    const runs = runsOf(history, group);
    const sequences = [...standing(runs), ...standing(acrossCrashes(history, group, runs))];
    checkOneOrder(sequences, messagesOf(group.messages), findings);
  }
  return findings.violations;
}

/**
 * Checks that histories are pieces of one sequence.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function prefix(history: History): Violation[] {
  const findings = new Findings("prefix");
  for (const group of history.groups) {
    checkOneSequence(standing(runsOf(history, group)), messagesOf(group.messages), findings);
  }
  return findings.violations;
}

/**
 * Checks uniform total order.
 *
 * @param history The trace.
 * @returns What breaks it: of orders, gaps and positions the first that is broken, since it breaks the others as well.
 */
export function uniformTotalOrder(history: History): Violation[] {
  const findings = new Findings("uniform-total-order");
  for (const group of history.groups) {
    const runs = runsOf(history, group);
    const messages = messagesOf(group.messages);
    const sequences = everything(runs);
    const across = everything(acrossCrashes(history, group, runs));
    const before = findings.violations.length;
    checkOneOrder([...sequences, ...across], messages, findings);
    if (findings.violations.length === before) checkOneSequence(sequences, messages, findings);
    if (findings.violations.length === before) checkPositions(runs.flatMap(({ all }) => all), findings);
  }
  return findings.violations;
}

function standing(runs: readonly Run[]): Sequence[] {
  return runs.map((run) => ({ run, count: run.standingCount }));
}

function everything(runs: readonly Run[]): Sequence[] {
  return runs.map((run) => ({ run, count: run.deliveries.length }));
}

function messagesOf(messages: ReadonlyMap<string, Message>): Message[] {
  return [...messages.values()];
}
