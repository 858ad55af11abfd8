/**
 * View synchrony: nodes that go together from view v to v+1 have delivered the same messages in v; a message is delivered in
 * the same view wherever it is delivered; and what a newcomer of v+1 delivers in its tail, those have delivered before v+1 who come
 * from v. (Birman and Joseph 1987, "Exploiting virtual synchrony in distributed systems"; Virtual
 * Synchrony and Same View Delivery in Chockler, Keidar and Vitenberg 2001, section 4.)
 *
 * Together go nodes that install v and directly after it v+1, with no crash, eviction or join between. The tail of a join and
 * replays tell of the past and belong to no view. Needs no order between nodes.
 */
import {
  type Delivery,
  type GroupHistory,
  type History,
  isOwed,
  type Message,
  type Stay,
} from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/**
 * Checks view synchrony.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function viewSynchrony(history: History): Violation[] {
  const findings = new Findings("view-synchrony");
  for (const group of history.groups) {
    checkSameView(group, findings);
    checkSameMessages(group, findings);
    checkTails(group, findings);
  }
  return findings.violations;
}

function checkSameView({ deliveries }: GroupHistory, findings: Findings): void {
  const firsts = new Map<Message, Delivery>();
  for (const delivery of deliveries) {
    const { message, view, repeated, line, index } = delivery;
    if (message === undefined || view === undefined || repeated) continue;
    const first = firsts.get(message);
    if (first === undefined) firsts.set(message, delivery);
    else if (first.view !== view) {
      findings.add(
        `${line.n} delivers ${message.m} in view ${view}, ${first.line.n} in view ${first.view}`,
        index,
      );
    }
  }
}

function checkSameMessages({ stays }: GroupHistory, findings: Findings): void {
  const references = new Map<number, { readonly stay: Stay; readonly messages: ReadonlySet<Message> }>();
  for (const stay of stays) {
    const { view, resumed, next, nextIndex, deliveries } = stay;
    // What a stay before a crash had is not asked of the one after it, nor the other way about.
    if (resumed || next !== view + 1) continue;
    const messages = new Set(deliveries.map(({ message }) => message!));
    const reference = references.get(view);
    if (reference === undefined) {
      references.set(view, { stay, messages });
      continue;
    }
    for (const message of messages) {
      if (!reference.messages.has(message)) report(findings, message, stay, reference.stay, nextIndex);
    }
    for (const message of reference.messages) {
      if (!messages.has(message)) report(findings, message, reference.stay, stay, nextIndex);
    }
    if (findings.full) return;
  }
}

/** A newcomer knows what the others know, no more; that it knows no less shows only in what it delivers later. */
function checkTails({ deliveries, stays }: GroupHistory, findings: Findings): void {
  const coming = new Map<number, Stay[]>();
  for (const stay of stays) {
    if (stay.next === undefined) continue;
    const others = coming.get(stay.next);
    if (others === undefined) coming.set(stay.next, [stay]);
    else others.push(stay);
  }
  for (const { message, tail, repeated, membership, line, index } of deliveries) {
    if (!tail || repeated || message === undefined) continue;
    for (const other of coming.get(membership.firstView ?? NaN) ?? []) {
      const delivery = other.membership.delivered.get(message);
      if (delivery === undefined ? !isOwed(message, other.membership) : delivery.index < other.nextIndex) {
        continue;
      }
      findings.add(
        `${line.n} joins in view ${membership.firstView} and delivers ${message.m} before it, ` +
          `but ${other.membership.node} does not`,
        index,
      );
    }
    if (findings.full) return;
  }
}

function report(findings: Findings, message: Message, has: Stay, lacks: Stay, index: number): void {
  const { view, membership: { node } } = has;
  findings.add(
    `${node} and ${lacks.membership.node} go from view ${view} to ${view + 1}, ` +
      `but only ${node} delivers ${message.m} in view ${view}`,
    index,
  );
}
