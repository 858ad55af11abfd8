/**
 * Validity: what a correct node sent, it and every correct node deliver. Agreement: what a correct node delivered,
 * every correct node delivers. (Hadzilacos and Toueg 1994, "A modular approach to fault-tolerant broadcasts"; for groups whose
 * membership changes, Chockler, Keidar and Vitenberg 2001, "Group communication specifications: a comprehensive study".)
 *
 * Correct are the nodes of the `end` line; without one nothing can be said, and that is reported. A node is asked for what
 * belongs to its present membership: what was sent (validity) or delivered (agreement) in its first view or later. Tails and
 * replays bear witness of nothing, since they tell of views before. Where nobody writes views, a node that joined is asked, of
 * each sending life, for what follows the first message that it delivered of it. Needs no order between nodes.
 */
import {
  correctIn,
  type Delivery,
  type GroupHistory,
  type History,
  type Life,
  type Membership,
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
      if (node === undefined || node.out !== undefined) continue;
      for (const message of node.life.sent) {
        if (message.failed) continue;
        for (const obligation of obligations) {
          if (obligation.has(message)) continue;
          if (obligation.name !== sender && !obligation.asks(message, message.view)) continue;
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
    const names = correctIn(history, group);
    const obligations = names.map((name) => new Obligation(group, name));
    for (const [message, witnesses] of witnessesIn(group, names)) {
      for (const obligation of obligations) {
        if (obligation.has(message)) continue;
        const witness = witnesses.find(({ view }) => obligation.asks(message, view));
        if (witness === undefined) continue;
        findings.add(
          `${obligation.name} never delivers ${message.m}, which ${witness.line.n} delivers; both are correct`,
          witness.index,
        );
      }
      if (findings.full) return findings.violations;
    }
  }
  return findings.violations;
}

/** Of each message that correct nodes deliver, the deliveries that ask for most: in the latest view, and in none. */
function witnessesIn(group: GroupHistory, names: readonly string[]): Map<Message, Delivery[]> {
  const witnesses = new Map<Message, Delivery[]>();
  for (const name of names) {
    for (const [message, delivery] of group.nodes.get(name)?.membership.delivered ?? []) {
      if (delivery.past && (group.views.size > 0 || delivery.out !== undefined)) continue;
      let known = witnesses.get(message);
      if (known === undefined) witnesses.set(message, known = []);
      const rival = known.findIndex(({ view }) => (view === undefined) === (delivery.view === undefined));
      if (rival < 0) known.push(delivery);
      else if ((delivery.view ?? 0) > (known[rival].view ?? 0)) known[rival] = delivery;
    }
  }
  return witnesses;
}

/** What a correct node must have delivered. */
class Obligation {
  readonly name: string;
  readonly #membership: Membership | undefined;
  /** The lowest sequence delivered of each sending life; only for a node that joined a group without views. */
  readonly #firstOf: Map<Life, number> = new Map();

  constructor(group: GroupHistory, name: string) {
    this.name = name;
    this.#membership = group.nodes.get(name)?.membership;
    if (this.#membership === undefined || !this.#membership.joined || group.views.size > 0) return;
    for (const [message, { line }] of this.#membership.delivered) {
      if (line.replay) continue; // a former life had it, and perhaps what follows as well
      const first = this.#firstOf.get(message.life) ?? Infinity;
      if (message.sequence < first) this.#firstOf.set(message.life, message.sequence);
    }
  }

  has(message: Message): boolean {
    return this.#membership?.delivered.has(message) ?? false;
  }

  /** Whether a message is asked of it that was sent, or delivered, in a view. */
  asks(message: Message, view: number | undefined): boolean {
    const { joined = false, firstView } = this.#membership ?? {};
    if (view !== undefined && firstView !== undefined) return firstView <= view;
    return !joined || message.sequence > (this.#firstOf.get(message.life) ?? Infinity);
  }
}

function hasEnd(history: History, findings: Findings): boolean {
  if (history.correct !== undefined) return true;
  findings.add('the trace has no "end" line, so nobody knows who had time to deliver');
  return false;
}
