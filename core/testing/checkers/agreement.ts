/**
 * Validity: what a correct node sent, it and every correct node deliver. Agreement: what a correct node delivered,
 * every correct node delivers. (Hadzilacos and Toueg 1994, "A modular approach to fault-tolerant broadcasts".)
 *
 * Correct are the nodes of the `end` line; without one nothing can be said, and that is reported. Of a node that joined
 * only this is asked: what others delivered in its first view or later, where they came from an earlier view; and of
 * each sending life, what follows the first message that it delivered of it. Needs no order between nodes.
 */
import {
  correctIn,
  type Delivery,
  type GroupHistory,
  type History,
  type Life,
  type Message,
} from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks validity.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function validity(history: History): Violation[] {
  const findings = new Findings("validity");
  if (!hasEnd(history, findings)) return findings.violations;
  for (const group of history.groups) {
    const obligations = correctIn(history, group).map((name) => new Obligation(group, name));
    for (const sender of correctIn(history, group)) {
      const node = group.nodes.get(sender);
      if (node === undefined || node.down) continue;
      for (const message of node.life.sent) {
        if (message.failed) continue;
        const own = node.tenure.delivered.get(message);
        for (const obligation of obligations) {
          if (obligation.has(message)) continue;
          if (obligation.name !== sender && !obligation.asks(message, own, node.firstView)) continue;
          findings.add(
            `${obligation.name} never delivers ${message.m}, which ${sender} sent; both are correct`,
            message.index,
          );
        }
        if (findings.full) return findings.violations;
      }
    }
  }
  return findings.violations;
}

/**
 * Checks agreement.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function agreement(history: History): Violation[] {
  const findings = new Findings("agreement");
  if (!hasEnd(history, findings)) return findings.violations;
  for (const group of history.groups) {
    const obligations = correctIn(history, group).map((name) => new Obligation(group, name));
    const reported = new Map<Obligation, Set<Message>>();
    /** Delivered by all, so that one look at each message is enough in a trace without faults. */
    const everywhere = new Set<Message>();
    for (const { name: witness } of obligations) {
      const node = group.nodes.get(witness);
      for (const delivery of node?.tenure.deliveries ?? []) {
        const message = delivery.message!;
        if (everywhere.has(message)) continue;
        if (obligations.every((obligation) => obligation.has(message))) {
          everywhere.add(message);
          continue;
        }
        for (const obligation of obligations) {
          if (obligation.has(message) || !obligation.asks(message, delivery, node?.firstView)) continue;
          let known = reported.get(obligation);
          if (known === undefined) reported.set(obligation, known = new Set());
          if (known.has(message)) continue;
          known.add(message);
          findings.add(
            `${obligation.name} never delivers ${message.m}, which ${witness} delivers; both are correct`,
            delivery.index,
          );
        }
        if (findings.full) return findings.violations;
      }
    }
  }
  return findings.violations;
}

/** What a correct node must have delivered. */
class Obligation {
  readonly name: string;
  readonly #delivered: ReadonlyMap<Message, Delivery>;
  readonly #joined: boolean;
  readonly #firstView: number | undefined;
  /** The lowest sequence delivered of each sending life; only for a node that joined. */
  readonly #firstOf: Map<Life, number> = new Map();

  constructor(group: GroupHistory, name: string) {
    const tenure = group.nodes.get(name)?.tenure;
    this.name = name;
    this.#delivered = tenure?.delivered ?? new Map();
    this.#joined = tenure?.joined ?? false;
    this.#firstView = tenure?.firstView;
    if (!this.#joined) return;
    for (const [message, { line }] of this.#delivered) {
      if (line.replay) continue; // a former life had it, and perhaps what follows as well
      const first = this.#firstOf.get(message.life) ?? Infinity;
      if (message.sequence < first) this.#firstOf.set(message.life, message.sequence);
    }
  }

  has(message: Message): boolean {
    return this.#delivered.has(message);
  }

  /** Whether a message is asked of it, given a delivery at a node whose first view was `witnessFirstView`. */
  asks(message: Message, delivery: Delivery | undefined, witnessFirstView: number | undefined): boolean {
    if (!this.#joined) return true;
    if (message.sequence > (this.#firstOf.get(message.life) ?? Infinity)) return true;
    if (this.#firstView === undefined || witnessFirstView === undefined || delivery?.view === undefined) {
      return false;
    }
    // A node that knows no earlier view may have delivered in it before this one came.
    return witnessFirstView < this.#firstView && delivery.view >= this.#firstView;
  }
}

function hasEnd(history: History, findings: Findings): boolean {
  if (history.correct !== undefined) return true;
  findings.add('the trace has no "end" line, so nobody knows who had time to deliver');
  return false;
}
