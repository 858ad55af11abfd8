/**
 * Uniform agreement: what any node ever delivered, every node delivers that goes on from there: every correct node, and every one
 * that installs a further view. (Hadzilacos and Toueg 1994, "A modular approach to fault-tolerant broadcasts"; Safe Messages
 * in Chockler, Keidar and Vitenberg 2001, "Group communication specifications: a comprehensive study".)
 *
 * Durability: the same of every message whose sender got a receipt, delivered or not, even when all nodes crashed in between. Who
 * delivers again after a crash does not end before such a message.
 *
 * Of a node that joined, that is asked which was delivered in its first view or later, and which others delivered after the first
 * message that it delivered itself: its snapshot cannot cover these. Correct are the nodes of the `end` line; without one
 * nothing can be said, and that is reported. Needs no order between nodes.
 */
import { goneIn, messageOf, type Run, runsOf, standsBelow } from "./delivery_runs.ts";
import {
  correctIn,
  type Delivery,
  type GroupHistory,
  type History,
  isOwed,
  type Membership,
  type Message,
  type Receipt,
} from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks uniform agreement.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function uniformAgreement(history: History): Violation[] {
  const findings = new Findings("uniform-agreement");
  if (!hasEnd(history, findings)) return findings.violations;
  for (const group of history.groups) {
    const runs = runsOf(history, group);
    const witnesses = witnessesOf(runs);
    const obligations = new Obligations(history, group, runs, [...witnesses.keys()]);
    for (const { message, who } of obligations.unmet()) {
      const { line, index } = witnesses.get(message)!;
      findings.add(`${who} without ${message.m}, which ${line.n} delivers`, index);
      if (findings.full) return findings.violations;
    }
  }
  return findings.violations;
}

/**
 * Checks durability.
 *
 * @param history The trace; every receipt in it is taken as one for level `durable`.
 * @returns What breaks it.
 */
export function durability(history: History): Violation[] {
  const findings = new Findings("durability");
  if (!hasEnd(history, findings)) return findings.violations;
  for (const group of history.groups) {
    const receipts = new Map<Message, Receipt>();
    for (const receipt of group.receipts) {
      const { node, m, index } = receipt;
      const message = group.messages.get(m);
      if (message !== undefined) receipts.set(message, receipt);
      else findings.add(`${node} gets a receipt for ${m}, which nobody sent`, index);
    }
    const runs = runsOf(history, group);
    const witnesses = witnessesOf(runs);
    const asked: Message[] = [];
    for (const [message, { node, m, index }] of receipts) {
      if (witnesses.has(message) || correctIn(history, group).length === 0) asked.push(message);
      else findings.add(`nobody delivers ${m}, for which ${node} got a receipt`, index);
    }
    const obligations = new Obligations(history, group, runs, asked);
    for (const unmet of [obligations.unmet(), obligations.lost()]) {
      for (const { message, who } of unmet) {
        const { node, m, index } = receipts.get(message)!;
        findings.add(`${who} without ${m}, for which ${node} got a receipt`, index);
        if (findings.full) return findings.violations;
      }
    }
  }
  return findings.violations;
}

function hasEnd(history: History, findings: Findings): boolean {
  if (history.correct !== undefined) return true;
  findings.add('the trace has no "end" line, so nobody knows who had time to deliver');
  return false;
}

/** Of each message a delivery of it. */
function witnessesOf(runs: readonly Run[]): Map<Message, Delivery> {
  const witnesses = new Map<Message, Delivery>();
  for (const { deliveries } of runs) {
    for (const delivery of deliveries) {
      const message = messageOf(delivery);
      if (!witnesses.has(message)) witnesses.set(message, delivery);
    }
  }
  return witnesses;
}

/** A message that a node goes on without. */
interface Unmet {
  readonly message: Message;
  /** What the node does, for people. */
  readonly who: string;
}

/** Which messages must have been delivered where. */
class Obligations {
  readonly #memberships: readonly (readonly [Membership, limit: number])[];
  /** Correct nodes that wrote nothing. */
  readonly #silent: readonly string[];
  readonly #runs: readonly Run[];
  readonly #messages: ReadonlySet<Message>;
  /** By the view in which they were delivered; where that is not known, only who is there at the end is asked. */
  readonly #byView: Map<number, Message[]> = new Map();
  /** Where the messages are that nodes that joined deliver first. */
  readonly #firsts: Map<Message, (readonly [Run, place: number])[]> = new Map();

  constructor(history: History, group: GroupHistory, runs: readonly Run[], messages: readonly Message[]) {
    const gone = goneIn(group);
    this.#memberships = group.memberships.filter((membership) => !gone.has(membership))
      .map((membership) => [membership, standsBelow(history, group, membership)]);
    this.#silent = correctIn(history, group).filter((name) => !group.nodes.has(name));
    this.#runs = runs;
    this.#messages = new Set(messages);
    for (const message of messages) {
      const view = message.deliveredIn ?? Infinity;
      const known = this.#byView.get(view);
      if (known === undefined) this.#byView.set(view, [message]);
      else known.push(message);
    }
    for (const { start, deliveries } of runs) {
      if (start === "join" && deliveries.length > 0) this.#firsts.set(messageOf(deliveries[0]), []);
    }
    for (const run of runs) {
      run.deliveries.forEach((delivery, place) => this.#firsts.get(messageOf(delivery))?.push([run, place]));
    }
  }

  /** What is asked of a node and was never delivered there. */
  *unmet(): Generator<Unmet> {
    for (const name of this.#silent) {
      for (const message of this.#messages) yield { message, who: `${name} is correct at the end` };
    }
    for (const [membership, limit] of this.#memberships) {
      if (limit === -Infinity) continue;
      const who = limit === Infinity
        ? `${membership.node} is correct at the end`
        : `${membership.node} goes on to view ${limit}`;
      for (const [view, messages] of this.#byView) {
        if (view >= limit && limit !== Infinity) continue;
        for (const message of messages) {
          if (!membership.delivered.has(message) && isOwed(message, membership)) yield { message, who };
        }
      }
      for (const message of this.#behindFirst(membership)) {
        if (limit === Infinity || (message.deliveredIn ?? Infinity) < limit) yield { message, who };
      }
    }
  }

  /** What a node had delivered before it crashed, and ends before when it delivers again. */
  *lost(): Generator<Unmet> {
    const latest = new Map<Membership, Run>();
    for (const run of this.#runs) latest.set(run.membership, run);
    for (const [membership, limit] of this.#memberships) {
      const run = latest.get(membership);
      const end = run?.deliveries.at(-1)?.message;
      if (limit !== Infinity || run === undefined || end === undefined) continue;
      const lost = new Set<Message>();
      for (let { former } = run; former !== undefined; former = former.former) {
        const place = former.deliveries.findIndex(({ message }) => message === end);
        if (place < 0) continue;
        for (const delivery of former.deliveries.slice(place + 1)) lost.add(messageOf(delivery));
      }
      for (const delivery of run.deliveries) lost.delete(messageOf(delivery));
      const who = `${membership.node} comes back from a crash and is correct at the end`;
      for (const message of lost) if (this.#messages.has(message)) yield { message, who };
    }
  }

  /** What others deliver behind the first message of a node that joined, as far as its views do not ask for it. */
  #behindFirst(membership: Membership): Set<Message> {
    const found = new Set<Message>();
    const [first] = membership.delivered.keys();
    if (!membership.joined || first === undefined) return found;
    for (const [{ deliveries }, place] of this.#firsts.get(first) ?? []) {
      for (let behind = place + 1; behind < deliveries.length; behind++) {
        const message = messageOf(deliveries[behind]);
        if (membership.delivered.has(message) || isOwed(message, membership)) continue;
        if (this.#messages.has(message)) found.add(message);
      }
    }
    return found;
  }
}
